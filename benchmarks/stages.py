"""The stages without networks, and the table of all."""

from __future__ import annotations

import tempfile
from pathlib import Path

import rival
import torch
from stage import PIXELS, Size, Stage, Work
from torch import Tensor
from training import (
    ClientStep,
    ClientStepBf16,
    InversionStep,
    InversionStepBatch32,
    InversionStepBf16,
    Prediction,
)

from logitleak.attacks.departures import Departures
from logitleak.attacks.linear import shares
from logitleak.files.storage import TensorFile
from logitleak.machine.allocator import keep_freed_memory, own_process
from logitleak.metrics.ssim import ssim_all_pairs, ssim_of_contenders
from logitleak.people.pack import load_pack
from logitleak.types import Event, Payload, PublicData
from logitleak.wire.writer import Manifest, TranscriptWriter, Uploads


class RidgeFit(Stage):
    """One client-round of the closed form: Gram matrix, Cholesky, 200 targets, 12,288 pixels."""

    unit = "fit"

    def __init__(self, size: Size, clients: int) -> None:
        super().__init__(size, clients)
        n, classes = size.sensitive, size.classes
        logits = 3 * torch.randn(clients, n, 2, classes, generator=self.generator)
        z = torch.softmax(logits, 3).flatten(2)
        self.z = z - z.mean(1, keepdim=True)
        images = self.images(n)
        public = PublicData(images, None, torch.ones(n, dtype=torch.bool))
        self.departures = Departures(public, torch.arange(n), torch.device("cpu"))
        pixels = images.float().flatten(1) / 255
        self.pixels = pixels - pixels.mean(0)
        self.targets = torch.eye(2 * classes)[: min(200, classes)]

    def ours(self) -> Work:
        return lambda: torch.stack([self.departures.combined(shares(z, self.targets, 0.1)) for z in self.z])

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


class Likest(Stage):
    """The likest of 1,200 references (AT&T: 48) to each of 200 reconstructions, which are blurred and faint. The rival
    compares every pair whole, by our own SSIM and with our memory."""

    unit = "pair"

    def __init__(self, size: Size, clients: int) -> None:
        super().__init__(size, clients)
        targets, references = (200, 1200) if size.classes >= 1000 else (8, 48)
        pictures = torch.from_numpy(load_pack("adult").images[:references]).permute(0, 3, 1, 2)
        self.b = pictures.float().div(255).contiguous()
        made = 0.5 * (self.b[:: len(self.b) // targets][:targets] + self.b.mean(0))
        self.a = torch.nn.functional.avg_pool2d(made, 3, 1, 1)

    def ours(self) -> Work:
        sure = torch.zeros(len(self.a), len(self.b), dtype=torch.bool)
        return lambda: ssim_of_contenders(self.a, self.b, sure).amax(1)

    def rival(self) -> Work:
        own_process()
        keep_freed_memory()
        return lambda: ssim_all_pairs(self.a, self.b).amax(1)

    def units(self) -> int:
        return len(self.a) * len(self.b)


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


STAGES: dict[str, type[Stage]] = {
    "client step": ClientStep,
    "client step, bf16": ClientStepBf16,
    "prediction": Prediction,
    "inversion step": InversionStep,
    "inversion step, bf16": InversionStepBf16,
    "inversion step, batch 32": InversionStepBatch32,
    "ridge fit": RidgeFit,
    "ssim": Similarity,
    "likest": Likest,
    "transcript": Transcript,
}
