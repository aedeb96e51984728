"""Each stage of a run, ours and the rival's, on random pixels of two sizes.

A stage is a class: `ours` and `rival` prepare, which is not timed, and return the work, which is, and which returns
what it computed, for comparison.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import rival
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from logitleak.attacks import networks
from logitleak.attacks.ridge import solve
from logitleak.bank import ModelBank, Optimization
from logitleak.metrics.ssim import ssim_all_pairs
from logitleak.seeds import derive
from logitleak.storage import TensorFile
from logitleak.types import Event, Payload, PublicData
from logitleak.wire import Manifest, TranscriptWriter, Uploads

PIXELS = 3 * 64 * 64

Work = Callable[[], Tensor]


@dataclass(frozen=True)
class Size:
    """J classes, N public images, of which so many are of the sensitive domain (D_0)."""

    name: str
    classes: int
    public: int
    sensitive: int


SIZES = {"att": Size("att", 40, 400, 160), "lfw": Size("lfw", 1000, 10_800, 4300)}


class Stage:
    """A stage at one size, for K clients.

    Class attributes:
        unit: what is counted.
    """

    unit: str

    def __init__(self, size: Size, clients: int) -> None:
        self.size, self.clients = size, clients
        self.generator = torch.Generator().manual_seed(0)

    def ours(self) -> Work:
        raise NotImplementedError

    def rival(self) -> Work:
        raise NotImplementedError

    def units(self) -> int:
        """How many units the work of `ours` does."""
        return self.clients

    def rival_units(self) -> int:
        """How many units the work of `rival` does."""
        return self.units()

    def operations(self) -> float:
        """Floating-point operations of one unit: products only."""
        return 0.0

    def traffic(self) -> float:
        """Bytes that one unit cannot but read or write: weights, gradients, moments, files."""
        return 0.0

    def images(self, count: int) -> Tensor:
        """Random pixels uint8 [count, 3, 64, 64]."""
        return torch.randint(0, 256, (count, 3, 64, 64), dtype=torch.uint8, generator=self.generator)


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


class RidgeFit(Stage):
    """One client-round of the closed form: Gram matrix, Cholesky, 200 targets, 12,288 pixels."""

    unit = "fit"

    def __init__(self, size: Size, clients: int) -> None:
        super().__init__(size, clients)
        n, classes = size.sensitive, size.classes
        logits = 3 * torch.randn(clients, n, 2, classes, generator=self.generator)
        z = torch.softmax(logits, 3).flatten(2)
        self.z = z - z.mean(1, keepdim=True)
        pixels = self.images(n).float().flatten(1) / 255
        self.pixels = pixels - pixels.mean(0)
        self.targets = torch.eye(2 * classes)[: min(200, classes)]

    def ours(self) -> Work:
        return lambda: torch.stack([solve(z, self.pixels, self.targets, 0.1) for z in self.z])

    def rival(self) -> Work:
        return lambda: torch.stack([rival.ridge(z, self.pixels, self.targets, 0.1) for z in self.z]).float()

    def operations(self) -> float:
        n, d, targets = self.size.sensitive, 2 * self.size.classes, len(self.targets)
        gram = n * d * d  # a symmetric product needs half of 2 n d²
        return gram + d**3 / 3 + 2 * d * d * targets + 2 * n * targets * (d + PIXELS)


class Similarity(Stage):
    """SSIM of 200 reconstructions to 1,200 label means (AT&T: 8 to 48)."""

    unit = "pair"

    def __init__(self, size: Size, clients: int) -> None:
        super().__init__(size, clients)
        targets, references = (200, 1200) if size.classes >= 1000 else (8, 48)
        self.a = torch.rand(targets, 3, 64, 64, generator=self.generator)
        self.b = torch.rand(references, 3, 64, 64, generator=self.generator)
        self.few = min(len(self.a) * len(self.b), 300)

    def ours(self) -> Work:
        return lambda: ssim_all_pairs(self.a, self.b).flatten()[: self.few]

    def rival(self) -> Work:
        pairs = [(self.a[i // len(self.b)], self.b[i % len(self.b)]) for i in range(self.few)]
        return lambda: torch.tensor([rival.ssim(a, b) for a, b in pairs])

    def rival_units(self) -> int:
        return self.few

    def units(self) -> int:
        return len(self.a) * len(self.b)

    def operations(self) -> float:
        return (
            3.0 * 2 * (2 * 64 * 64 * 64)
        )  # the cross term: two products with a band matrix for each channel


class Transcript(Stage):
    """One round of uploads written to disk and read again, one client after the other."""

    unit = "upload"

    def __init__(self, size: Size, clients: int) -> None:
        super().__init__(size, clients)
        self.folder = Path(tempfile.mkdtemp(prefix="logitleak-bench-"))
        shape = (clients, size.public, size.classes)
        self.logits = torch.randn(shape, generator=self.generator)

    def ours(self) -> Work:
        uploads = Uploads(action="upload", tensor="logits", kind="logits")
        manifest = Manifest(
            format=1, scheme="fedmd", clients=self.clients, rounds=1, num_classes=self.size.classes,
            target_labels=[0], uploads=uploads,
        )  # fmt: skip
        public = PublicData(
            torch.zeros(1, 3, 64, 64, dtype=torch.uint8), None, torch.ones(1, dtype=torch.bool)
        )
        writer = TranscriptWriter(self.folder / "wire", manifest, public)
        writer.rewind(0)
        received = {k: Payload({"logits": logits}) for k, logits in enumerate(self.logits)}

        def work() -> Tensor:
            writer.write(Event(1, "upload", Payload(), received))
            writer.commit(1)
            file = TensorFile(self.folder / "wire" / "round-01" / "upload.safetensors")
            found = torch.stack([file.read(f"client-{k}/logits").sum(0) for k in range(self.clients)])
            writer.rewind(0)
            return found

        return work

    def rival(self) -> Work:
        def work() -> Tensor:
            found = []
            for k, logits in enumerate(self.logits):
                torch.save(logits.clone(), self.folder / f"{k}.pt")
                found.append(torch.load(self.folder / f"{k}.pt", weights_only=True).sum(0))
            return torch.stack(found)

        return work

    def traffic(self) -> float:
        return 2.0 * 4 * self.size.public * self.size.classes


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


STAGES: dict[str, type[Stage]] = {
    "client step": ClientStep,
    "client step, bf16": ClientStepBf16,
    "prediction": Prediction,
    "inversion step": InversionStep,
    "inversion step, bf16": InversionStepBf16,
    "inversion step, batch 32": InversionStepBatch32,
    "ridge fit": RidgeFit,
    "ssim": Similarity,
    "transcript": Transcript,
}
