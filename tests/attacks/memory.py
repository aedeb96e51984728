"""A server's view held in memory: random logits that carry some class structure."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from logitleak.types import Knowledge, PublicData


@dataclass
class MemoryView:
    """Three clients, two rounds, seven labels of which 2 and 5 are targets, by default."""

    clients: int = 3
    rounds: int = 2
    classes: int = 7
    side: int = 16
    rows: Tensor | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(self.seed)
        targets = torch.tensor([2, 5])
        sensitive_labels = torch.tensor([j for j in range(self.classes) if j not in (2, 5)]).repeat(4)
        labels = torch.cat([sensitive_labels, torch.arange(self.classes).repeat(2)])
        faces = torch.rand(self.classes, 3, self.side, self.side, generator=generator)
        noise = torch.rand(len(labels), 3, self.side, self.side, generator=generator)
        images = ((0.7 * faces[labels] + 0.3 * noise) * 255).to(torch.uint8)
        sensitive = torch.arange(len(labels)) < len(sensitive_labels)
        self.knowledge = Knowledge(PublicData(images, labels, sensitive), targets, self.classes)
        signal = 4 * torch.nn.functional.one_hot(labels, self.classes).float()
        shape = (self.clients + 1, self.rounds, len(labels), self.classes)
        self.logits = signal + torch.randn(shape, generator=generator)

    provides = frozenset({"logits", "server_logits", "labels"})

    def client_logits(self, client: int, round: int) -> tuple[Tensor, Tensor]:
        rows = torch.arange(len(self.knowledge.public)) if self.rows is None else self.rows
        return rows, self.logits[client, round - 1][rows].clone()

    def server_logits(self, round: int) -> Tensor:
        return self.logits[-1, round - 1].clone()
