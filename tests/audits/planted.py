"""A server's view in memory in which it is known what leaks: who holds a class says more of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from logitleak.audits.base import Asked
from logitleak.types import GlobalModel, Knowledge, PublicData, UploadKind


@dataclass
class PlantedView:
    """Clients, rounds and classes; the first classes are targets, and target j belongs to client j mod K.

    Attributes:
        strength: what the owner's logit of a target is raised by, on every row and in every round; 0 leaks nothing.
        inside: bool [T], whose images are used; all by default.
        absent: clients that never answer.
    """

    clients: int = 4
    rounds: int = 2
    classes: int = 12
    targets: int = 8
    strength: float = 0.0
    inside: Tensor | None = None
    absent: tuple[int, ...] = ()
    labelled: bool = True
    one_domain: bool = False
    seed: int = 0
    rows: Tensor | None = None
    upload_kind: UploadKind = "logits"
    shadows: int = 0
    provides: frozenset[str] = field(default=frozenset({"logits", "server_logits", "labels"}))

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(self.seed)
        labels = torch.arange(self.classes).repeat(6)
        sensitive = torch.ones(len(labels), dtype=torch.bool)
        if not self.one_domain:
            sensitive = (labels >= self.targets) & (torch.arange(len(labels)) % 2 == 0)
        images = torch.randint(0, 256, (len(labels), 3, 8, 8), generator=generator, dtype=torch.uint8)
        self.knowledge = Knowledge(
            PublicData(images, labels if self.labelled else None, sensitive),
            torch.arange(self.targets),
            self.classes,
        )
        signal = 3 * torch.nn.functional.one_hot(labels, self.classes).float()
        shape = (self.clients + 1, self.rounds, len(labels), self.classes)
        self.logits = signal + torch.randn(shape, generator=generator)
        self.owners = torch.arange(self.targets) % self.clients
        inside = torch.ones(self.targets, dtype=torch.bool) if self.inside is None else self.inside
        for target, owner in enumerate(self.owners.tolist()):
            if bool(inside[target]):
                self.logits[owner, :, :, target] += self.strength
        if not self.labelled:
            self.provides = self.provides - {"labels"}

    def client_logits(self, client: int, round: int) -> tuple[Tensor, Tensor]:
        rows = torch.arange(len(self.knowledge.public)) if self.rows is None else self.rows
        if client in self.absent:
            rows = rows[:0]
        values = self.logits[client, round - 1][rows]
        return rows, values.log_softmax(1) if self.upload_kind == "probabilities" else values.clone()

    def server_logits(self, round: int) -> Tensor:
        return self.logits[-1, round - 1].clone()

    def shadow_logits(self, shadow: int, round: int) -> Tensor:
        raise AssertionError("there are no shadows")

    def global_model(self, round: int) -> GlobalModel:
        raise AssertionError("no model is shared")

    def client_gradients(self, client: int, round: int) -> Mapping[str, Tensor]:
        raise AssertionError("no model is shared")

    def generated(self, round: int) -> tuple[Tensor, Tensor]:
        raise AssertionError("nobody takes part who attacks")


def asked_of(view: PlantedView, members: int = 40, strength: float = 0.0, seed: int = 1) -> Asked:
    """Candidates, the first half members, of which members' clients are surer by so much; with students that copy the
    clients."""
    generator = torch.Generator().manual_seed(seed)
    count = 2 * members
    labels = torch.randint(0, view.targets, (members,), generator=generator).repeat(2)
    clients = torch.randint(0, view.clients, (members,), generator=generator).repeat(2)
    images = torch.randint(0, 256, (count, 3, 8, 8), generator=generator, dtype=torch.uint8)
    shape = (view.clients, count, view.classes)
    said = torch.randn(shape, generator=generator)
    said[clients[:members], torch.arange(members), labels[:members]] += strength
    return Asked(
        images, labels, clients,
        replies={round: said + 0.1 * torch.randn(shape, generator=generator) for round in range(1, view.rounds + 1)},
        students={"last round": said + torch.randn(shape, generator=generator)},
        rivals={"public labels": torch.randn(1, count, view.classes, generator=generator)},
    )  # fmt: skip
