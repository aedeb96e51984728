"""Small clients that learn private images under a defense."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from logitleak import registry
from logitleak.defenses.draws import Draws, Seeded
from logitleak.defenses.training import Schedule, TrainingDefense
from logitleak.federation.bank import ModelBank, Optimization
from logitleak.federation.trainer import Trainer
from logitleak.types import ClientData

CLASSES, SIDE = 3, 4


def private(count: int, seed: int = 0, classes: int = CLASSES) -> ClientData:
    """Images of noise, labels in turn."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (count, 3, SIDE, SIDE), generator=generator).to(torch.uint8)
    return ClientData(images, torch.arange(count) % classes)


def bank(
    members: int = 1, batch: int = 4, lr: float = 1e-2, architecture: str = "mlp", classes: int = CLASSES
) -> ModelBank:
    optimization = Optimization(lr, 0.0, batch)
    return ModelBank(architecture, (SIDE, SIDE), classes, list(range(members)), optimization, seed=3)


def made(name: str, draws: Draws | None = None, epochs: int = 100, batch: int = 4, **values: Any) -> Any:
    """A training defense with its settings, at a client that learns so many epochs in all."""
    cls = registry.load("defense", name)
    found: TrainingDefense = cls(
        registry.settings(name, cls.Settings, values), "logits", draws or Seeded(5, "test")
    )
    found.schedule = Schedule(epochs, batch)
    return found


def learn(
    model: ModelBank, data: ClientData, *defenses: TrainingDefense, epochs: int = 2, round: int = 1
) -> list[float]:
    """Learn private images in one phase; the losses of its epochs."""
    told: list[float] = []
    trainer = Trainer(defenses)
    trainer.fit(model, data, epochs, "learn", round, lambda epoch, loss: told.append(loss))
    return told


def weights(model: ModelBank) -> Tensor:
    """All parameters in a row."""
    return torch.cat([p.detach().flatten() for p in model.models[0].parameters()])
