"""Each stage of a run, ours and the rival's, on random pixels of two sizes.

A stage is a class: the constructor prepares (not timed), `ours` and `rival` do some units of work and return what
they computed, for comparison.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import rival
import torch
import torch.nn.functional as F
from torch import Tensor

from logitleak.allocator import keep_freed_memory
from logitleak.attacks import networks
from logitleak.attacks.ridge import solve
from logitleak.bank import ModelBank, Optimization
from logitleak.metrics.ssim import ssim_all_pairs
from logitleak.seeds import derive
from logitleak.storage import TensorFile
from logitleak.types import Event, Payload, PublicData
from logitleak.wire import Manifest, TranscriptWriter, Uploads

PIXELS = 3 * 64 * 64


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
        compare: whether ours and the rival's results can be compared.
    """

    unit: str
    compare = True

    def __init__(self, size: Size, clients: int) -> None:
        keep_freed_memory()
        self.size, self.clients = size, clients
        self.generator = torch.Generator().manual_seed(0)

    def ours(self) -> Tensor:
        raise NotImplementedError

    def rival(self) -> Tensor:
        raise NotImplementedError

    def units(self) -> int:
        """How many units one call of `ours` or `rival` does."""
        return self.clients

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
        optimization = Optimization(1e-3, 1e-4, 64, precision=self.precision)
        self.bank = ModelBank("cnn", (64, 64), size.classes, range(clients), optimization, seed=0)

    def ours(self) -> Tensor:
        same = [self.pixels] * self.clients, [self.labels] * self.clients
        return torch.tensor(self.bank.fit(*same, F.cross_entropy, 1, ("bench",)))

    def rival(self) -> Tensor:
        data, losses = rival.Images(self.pixels, self.labels), []
        for k in range(self.clients):
            model = rival.classifier(self.size.classes)
            start = self.bank.weights(k)
            names = ("0.weight", "0.bias", "4.weight", "4.bias")
            model.load_state_dict(dict(zip(names, start.values(), strict=True)))
            adam = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-4)
            order = torch.randperm(self.count, generator=derive(0, "order", "bench", k))
            losses.append(rival.train(model, adam, data, F.cross_entropy, 64, order))
        return torch.tensor(losses)

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

    def ours(self) -> Tensor:
        return torch.stack([logits.mean(0) for logits in self.bank.predict_each(self.pixels)])

    def rival(self) -> Tensor:
        data = rival.Images(self.pixels, torch.zeros(len(self.pixels)))
        found = []
        for k in range(self.clients):
            model = rival.classifier(self.size.classes)
            names = ("0.weight", "0.bias", "4.weight", "4.bias")
            model.load_state_dict(dict(zip(names, self.bank.weights(k).values(), strict=True)))
            found.append(rival.predict(model, data).mean(0))
        return torch.stack(found)

    def units(self) -> int:
        return self.clients * len(self.pixels)

    def operations(self) -> float:
        return 2.0 * (62 * 62 * 27 * 32 + 12_800 * self.size.classes)


class InversionStep(Stage):
    """Training of the paper's inversion network (width 1024) on pairs, batch 8."""

    unit = "step"
    steps = 6
    batch = 8
    precision = False

    def __init__(self, size: Size, clients: int) -> None:
        super().__init__(size, clients)
        count = self.steps * self.batch
        logits = torch.randn(count, 2, size.classes, generator=self.generator)
        self.inputs = torch.softmax(logits, 2).flatten(1)
        self.pixels = self.images(count).float() / 127.5 - 1
        self.batches = torch.randperm(count, generator=self.generator).split(self.batch)

    def ours(self) -> Tensor:
        found = []
        for k in range(self.clients):
            network = networks.build(2 * self.size.classes, 64, 1024, torch.Generator().manual_seed(k))
            adam = torch.optim.Adam(network.parameters(), lr=3e-5, weight_decay=1e-4, fused=True)
            for rows in self.batches:
                with torch.autocast("cpu", torch.bfloat16, enabled=self.precision):
                    made = network(self.inputs[rows])
                value = F.mse_loss(made.float(), self.pixels[rows])
                adam.zero_grad()
                value.backward()
                adam.step()
            with torch.no_grad():
                found.append(network.eval()(self.inputs[:4]))
        return torch.stack(found)

    def rival(self) -> Tensor:
        found = []
        for k in range(self.clients):
            start = networks.build(2 * self.size.classes, 64, 1024, torch.Generator().manual_seed(k))
            network = rival.inversion(2 * self.size.classes)
            with torch.no_grad():
                for own, theirs in zip(network.parameters(), start.parameters(), strict=True):
                    own.copy_(theirs.permute(0, 3, 1, 2) if theirs.dim() == 4 else theirs)
            adam = torch.optim.Adam(network.parameters(), lr=3e-5, weight_decay=1e-4)
            rival.invert(network, adam, self.inputs, self.pixels, self.batches)
            with torch.no_grad():
                found.append(network.eval()(self.inputs[:4][:, :, None, None]))
        return torch.stack(found)

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

    precision = True


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

    def ours(self) -> Tensor:
        return torch.stack([solve(z, self.pixels, self.targets, 0.1) for z in self.z])

    def rival(self) -> Tensor:
        return torch.stack([rival.ridge(z, self.pixels, self.targets, 0.1) for z in self.z]).float()

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

    def ours(self) -> Tensor:
        return ssim_all_pairs(self.a, self.b).flatten()[: self.few]

    def rival(self) -> Tensor:
        columns = len(self.b)
        return torch.tensor([rival.ssim(self.a[i // columns], self.b[i % columns]) for i in range(self.few)])

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

    def ours(self) -> Tensor:
        size = self.size
        uploads = Uploads(action="upload", tensor="logits", kind="logits")
        manifest = Manifest(
            format=1, scheme="fedmd", clients=self.clients, rounds=1, num_classes=size.classes,
            target_labels=[0], uploads=uploads,
        )  # fmt: skip
        public = PublicData(
            torch.zeros(1, 3, 64, 64, dtype=torch.uint8), None, torch.ones(1, dtype=torch.bool)
        )
        writer = TranscriptWriter(self.folder / "wire", manifest, public)
        writer.rewind(0)
        received = {k: Payload({"logits": logits}) for k, logits in enumerate(self.logits)}
        writer.write(Event(1, "upload", Payload(), received))
        writer.commit(1)
        file = TensorFile(self.folder / "wire" / "round-01" / "upload.safetensors")
        return torch.stack([file.read(f"client-{k}/logits").sum(0) for k in range(self.clients)])

    def rival(self) -> Tensor:
        found = []
        for k, logits in enumerate(self.logits):
            torch.save(logits.clone(), self.folder / f"{k}.pt")
            found.append(torch.load(self.folder / f"{k}.pt", weights_only=True).sum(0))
        return torch.stack(found)

    def traffic(self) -> float:
        return 2.0 * 4 * self.size.public * self.size.classes


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
