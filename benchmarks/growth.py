"""How cost grows with clients K, classes J and public images N, and what much larger federations would take.

    python benchmarks/growth.py [--out FILE]

Every series changes one of them, on random pixels and outputs. Slopes are those of a line through the logarithms; the
expected ones are derived in docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import ceilings
import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor

from logitleak.attacks import networks
from logitleak.attacks.base import create
from logitleak.federation.bank import ModelBank, Optimization
from logitleak.machine.allocator import keep_freed_memory, own_process
from logitleak.metrics.ssim import mean_ssim_to_others
from logitleak.types import GlobalModel, Knowledge, PublicData, UploadKind, provided

SERIES: dict[str, list[tuple[int, int, int]]] = {
    "K": [(k, 100, 1000) for k in (1, 2, 5, 10)],
    "J": [(1, j, 2000) for j in (100, 200, 500, 1000)],
    "N": [(1, 100, n) for n in (1000, 2000, 5000, 10_000)],
}


@dataclass(frozen=True)
class RandomView:
    """A server's view of K clients with random outputs, one round."""

    clients: int
    classes: int
    images: int
    rounds: int = 1
    upload_kind: UploadKind = "logits"
    shadows: int = 0

    @property
    def provides(self) -> frozenset[str]:
        return provided("logits", labelled=True)

    @cached_property
    def knowledge(self) -> Knowledge:
        generator = torch.Generator().manual_seed(0)
        pixels = torch.randint(0, 256, (self.images, 3, 64, 64), dtype=torch.uint8, generator=generator)
        labels = torch.arange(self.images) % self.classes
        targets = torch.arange(self.classes // 5)
        sensitive = (labels >= len(targets)) & (torch.arange(self.images) % 2 == 0)
        return Knowledge(PublicData(pixels, labels, sensitive), targets, self.classes)

    def _logits(self, who: int) -> Tensor:
        generator = torch.Generator().manual_seed(who)
        labels = torch.arange(self.images) % self.classes
        return torch.randn(self.images, self.classes, generator=generator) + 8 * F.one_hot(
            labels, self.classes
        )

    def client_logits(self, client: int, round: int) -> tuple[Tensor, Tensor]:
        return torch.arange(self.images), self._logits(client + 1)

    def server_logits(self, round: int) -> Tensor:
        return self._logits(0)

    def shadow_logits(self, shadow: int, round: int) -> Tensor:
        raise NotImplementedError

    def global_model(self, round: int) -> GlobalModel:
        raise NotImplementedError

    def client_gradients(self, client: int, round: int) -> dict[str, Tensor]:
        raise NotImplementedError

    def generated(self, round: int) -> tuple[Tensor, Tensor]:
        raise NotImplementedError


def federation_round(clients: int, classes: int, images: int) -> Callable[[], object]:
    """One epoch of every client on the public set, and everybody's upload."""
    public = RandomView(clients, classes, images).knowledge.public
    optimization = Optimization(1e-3, 1e-4, 64)
    bank = ModelBank("cnn", (64, 64), classes, range(clients), optimization, seed=0)

    def work() -> None:
        labels = public.labelled().labels
        bank.fit([public.images] * clients, [labels] * clients, F.cross_entropy, 1, ("growth",))
        for _ in bank.predict_each(public.images):
            pass

    return work


def ridge_round(clients: int, classes: int, images: int) -> Callable[[], object]:
    """The closed form for one round of every client, with the choice of temperature and weight."""
    view = RandomView(clients, classes, images)
    return lambda: list(create("ridge").replay(view))


def inversion_epoch(clients: int, classes: int, images: int) -> Callable[[], object]:
    """One epoch of every client's inversion network over D_0, from ten measured steps."""
    network = networks.build(2 * classes, 64, 1024, torch.Generator().manual_seed(0))
    adam = torch.optim.Adam(network.parameters(), lr=3e-5, weight_decay=1e-4, fused=True)
    inputs, pixels = torch.rand(8, 2 * classes), torch.rand(8, 3, 64, 64)

    def work() -> None:
        for _ in range(clients):
            F.mse_loss(network(inputs), pixels).backward()
            adam.step()
            adam.zero_grad()

    return work


def choice(clients: int, classes: int, images: int) -> Callable[[], object]:
    """Eq. 11 for J / 5 targets."""
    found = torch.rand(clients, classes // 5, 3, 64, 64)
    return lambda: mean_ssim_to_others(found)


WORK: dict[str, tuple[Callable[[int, int, int], Callable[[], object]], str, dict[str, str]]] = {
    "federation round": (federation_round, "one epoch and one upload", {"K": "1", "J": "0 to 1", "N": "1"}),
    "ridge round": (ridge_round, "choice of τ and λ, and fit", {"K": "1", "J": "2 to 3", "N": "0 to 1"}),
    "inversion steps": (
        inversion_epoch,
        "one step a client, width 1024",
        {"K": "1", "J": "0 to 1", "N": "0"},
    ),
    "Eq. 11": (choice, "SSIM among clients, J / 5 targets", {"K": "2", "J": "1", "N": "0"}),
}


def slope(points: list[tuple[float, float]]) -> float:
    """Of a line through the logarithms."""
    x, y = np.log(np.array(points)).T
    return float(np.polyfit(x, y, 1)[0])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/growth.json"))
    given = parser.parse_args()
    own_process()
    keep_freed_memory()
    table = Table("work", "over", "seconds", "slope", "expected")
    rows: list[dict[str, Any]] = []
    for name, (prepare, what, expected) in WORK.items():
        for series, points in SERIES.items():
            if name == "Eq. 11" and series == "K":
                points = points[1:]  # one client has nobody to be compared with
            seconds = [ceilings.best_seconds(prepare(*point), 2) for point in points]
            changed = [point["KJN".index(series)] for point in points]
            found = slope(list(zip(changed, seconds, strict=True)))
            rows.append(
                {
                    "work": name,
                    "what": what,
                    "over": series,
                    "values": changed,
                    "seconds": seconds,
                    "slope": found,
                }
            )
            told = ", ".join(f"{value}: {s:.3g}" for value, s in zip(changed, seconds, strict=True))
            table.add_row(f"{name} ({what})", series, told, f"{found:.2f}", expected[series])
            print(name, series, told, f"slope {found:.2f}", flush=True)
    Console(width=150).print(table)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
