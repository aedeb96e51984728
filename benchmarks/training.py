"""The stages that train or ask networks."""

from __future__ import annotations

from typing import Literal

import rival
import torch
import torch.nn.functional as F
from stage import Size, Stage, Work
from torch import Tensor, nn

from logitleak.attacks import networks
from logitleak.federation.bank import ModelBank, Optimization
from logitleak.seeds import derive


class ClientStep(Stage):
    """Mini-batch training of the paper's classifier, batch 64, cross entropy."""

    unit = "step"
    batches = 6
    precision: Literal["float32", "bf16"] = "float32"

    def __init__(self, size: Size, clients: int) -> None:
        super().__init__(size, clients)
        self.count = min(size.public // 64, self.batches) * 64
        self.pixels = self.images(self.count)
        self.labels = torch.randint(0, size.classes, (self.count,), generator=self.generator)

    def _bank(self) -> ModelBank:
        optimization = Optimization(1e-3, 1e-4, 64, precision=self.precision)
        return ModelBank("cnn", (64, 64), self.size.classes, range(self.clients), optimization, seed=0)

    def ours(self) -> Work:
        bank, same = self._bank(), ([self.pixels] * self.clients, [self.labels] * self.clients)
        return lambda: torch.tensor(bank.fit(*same, F.cross_entropy, 1, ("bench",)))

    def rival(self) -> Work:
        data, bank = rival.Images(self.pixels, self.labels), self._bank()
        models = [_like(bank, k, self.size.classes) for k in range(self.clients)]
        adams = [torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-4) for model in models]
        orders = [
            torch.randperm(self.count, generator=derive(0, "order", "bench", k)) for k in range(self.clients)
        ]

        def work() -> Tensor:
            each = zip(models, adams, orders, strict=True)
            return torch.tensor(
                [rival.train(m, adam, data, F.cross_entropy, 64, order) for m, adam, order in each]
            )

        return work

    def units(self) -> int:
        return self.clients * self.count // 64

    def operations(self) -> float:
        convolution, head = 62 * 62 * 27 * 32, 12_800 * self.size.classes
        return 2 * 64 * (2 * convolution + 3 * head)  # the first layer needs no gradient of its input

    def traffic(self) -> float:
        return _adam_traffic(12_800 * self.size.classes)


class ClientStepBf16(ClientStep):
    """The same in bfloat16, `federation.precision: bf16`."""

    precision: Literal["float32", "bf16"] = "bf16"


class Prediction(Stage):
    """Every client's logits on the public set."""

    unit = "image"

    def __init__(self, size: Size, clients: int) -> None:
        super().__init__(size, clients)
        self.pixels = self.images(min(size.public, 2048))
        optimization = Optimization(1e-3, 1e-4, 64)
        self.bank = ModelBank("cnn", (64, 64), size.classes, range(clients), optimization, seed=0)

    def ours(self) -> Work:
        return lambda: torch.stack([logits.mean(0) for logits in self.bank.predict_each(self.pixels)])

    def rival(self) -> Work:
        data = rival.Images(self.pixels, torch.zeros(len(self.pixels)))
        models = [_like(self.bank, k, self.size.classes) for k in range(self.clients)]
        return lambda: torch.stack([rival.predict(model, data).mean(0) for model in models])

    def units(self) -> int:
        return self.clients * len(self.pixels)

    def operations(self) -> float:
        return 2.0 * (62 * 62 * 27 * 32 + 12_800 * self.size.classes)


class InversionStep(Stage):
    """Training of the paper's inversion network (width 1024) on pairs, batch 8."""

    unit = "step"
    steps = 6
    batch = 8
    rough = False

    def __init__(self, size: Size, clients: int) -> None:
        super().__init__(size, clients)
        count = self.steps * self.batch
        logits = torch.randn(count, 2, size.classes, generator=self.generator)
        self.inputs = torch.softmax(logits, 2).flatten(1)
        self.pixels = self.images(count).float() / 127.5 - 1
        self.batches = torch.randperm(count, generator=self.generator).split(self.batch)

    def _networks(self) -> list[networks.InversionNetwork]:
        build, inputs = networks.build, 2 * self.size.classes
        return [build(inputs, 64, 1024, torch.Generator().manual_seed(k)) for k in range(self.clients)]

    def ours(self) -> Work:
        made = self._networks()
        adams = [torch.optim.Adam(n.parameters(), lr=3e-5, weight_decay=1e-4, fused=True) for n in made]

        def work() -> Tensor:
            for network, adam in zip(made, adams, strict=True):
                network.train()
                for rows in self.batches:
                    with torch.autocast("cpu", torch.bfloat16, enabled=self.rough):
                        images = network(self.inputs[rows])
                    value = F.mse_loss(images.float(), self.pixels[rows])
                    adam.zero_grad()
                    value.backward()
                    adam.step()
            with torch.no_grad():
                return torch.stack([network.eval()(self.inputs[:4]) for network in made])

        return work

    def rival(self) -> Work:
        made = [rival.inversion(2 * self.size.classes) for _ in range(self.clients)]
        with torch.no_grad():
            for network, start in zip(made, self._networks(), strict=True):
                for own, theirs in zip(network.parameters(), start.parameters(), strict=True):
                    own.copy_(theirs.permute(0, 3, 1, 2) if theirs.dim() == 4 else theirs)
        adams = [torch.optim.Adam(network.parameters(), lr=3e-5, weight_decay=1e-4) for network in made]

        def work() -> Tensor:
            for network, adam in zip(made, adams, strict=True):
                rival.invert(network, adam, self.inputs, self.pixels, self.batches)
            with torch.no_grad():
                return torch.stack([network.eval()(self.inputs[:4][:, :, None, None]) for network in made])

        return work

    def units(self) -> int:
        return self.clients * len(self.batches)

    def operations(self) -> float:
        first = 2 * self.size.classes * 1024 * 16
        doublings = 3 * (16 * 1024 * 512 * 16) + 32 * 32 * 128 * 3 * 16
        return 2.0 * self.batch * (2 * first + 3 * doublings)  # the input needs no gradient

    def traffic(self) -> float:
        return _adam_traffic(2 * self.size.classes * 16_384 + 16 * (1024 * 512 + 512 * 256 + 256 * 128))


class InversionStepBf16(InversionStep):
    """The same in bfloat16, `precision: bf16`."""

    rough = True


class InversionStepBatch32(InversionStep):
    """The same in float32 with batch 32."""

    batch = 32


def _like(bank: ModelBank, k: int, classes: int) -> nn.Module:
    """The rival's classifier with the weights of one of ours."""
    model = rival.classifier(classes)
    names = ("0.weight", "0.bias", "4.weight", "4.bias")
    model.load_state_dict(dict(zip(names, bank.weights(k).values(), strict=True)))
    return model


def _adam_traffic(parameters: int) -> float:
    """Bytes of one optimizer step: weights, two moments and the gradient are read, all but the gradient written; the
    gradient was written before, and the weights were read by the forward and the backward pass."""
    return 4.0 * parameters * (4 + 3 + 1 + 2)
