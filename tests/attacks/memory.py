"""A server's view held in memory: random logits that carry some class structure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from logitleak.models.base import build
from logitleak.seeds import derive
from logitleak.types import GlobalModel, Knowledge, PublicData, UploadKind


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

    provides = frozenset({"logits", "gradients", "server_logits", "labels", "shadows", "generated"})
    upload_kind: UploadKind = "logits"
    shadows: int = 2

    def shadow_logits(self, shadow: int, round: int) -> Tensor:
        """Somebody who learnt the same public set a little differently."""
        generator = torch.Generator().manual_seed(1000 + 10 * shadow + round)
        return self.logits[-1, round - 1] + torch.randn(self.logits.shape[2:], generator=generator)

    def global_model(self, round: int) -> GlobalModel:
        model = build("cnn", (self.side, self.side), self.classes, derive(self.seed, round))
        return GlobalModel("cnn", 1e-3, model.state_dict())

    def client_gradients(self, client: int, round: int) -> Mapping[str, Tensor]:
        """Client 0 holds label 2, client 1 holds label 5, and nobody else holds a target."""
        model = build("cnn", (self.side, self.side), self.classes, derive(self.seed, round))
        label = {0: 2, 1: 5}.get(client, 0)
        image = self.knowledge.public.pixels(torch.nonzero(self.knowledge.public.labels == label)[0])
        loss = torch.nn.functional.cross_entropy(model(image), torch.tensor([label]))
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        return {name: g for (name, _), g in zip(model.named_parameters(), gradients, strict=True)}

    def generated(self, round: int) -> tuple[Tensor, Tensor]:
        """Of every label, noise of its own in each round."""
        shape = (self.classes, 4, 3, self.side, self.side)
        return torch.arange(self.classes), torch.rand(shape, generator=derive(self.seed, "generated", round))

    def client_logits(self, client: int, round: int) -> tuple[Tensor, Tensor]:
        rows = torch.arange(len(self.knowledge.public)) if self.rows is None else self.rows
        return rows, self.logits[client, round - 1][rows].clone()

    def server_logits(self, round: int) -> Tensor:
        return self.logits[-1, round - 1].clone()
