"""The task: made-up shapes in ten classes. The public set has every class; each client has a few classes of its own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLASSES, SIDE, PUBLIC_PER_CLASS, PRIVATE_PER_CLASS = 10, 16, 24, 30


def images(labels: Tensor, seed: int) -> Tensor:
    """Noisy images [n, 3, 16, 16] in [0, 1]; a class is a soft pattern that all of its images share."""
    patterns = F.interpolate(
        torch.rand(CLASSES, 3, 4, 4, generator=torch.Generator().manual_seed(0)), SIDE, mode="bicubic"
    )
    noise = torch.randn(len(labels), 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))
    return (0.25 + 0.5 * patterns[labels] + 0.1 * noise).clamp(0, 1)


def public() -> tuple[Tensor, Tensor]:
    """What everybody has: images and labels."""
    labels = torch.arange(CLASSES).repeat(PUBLIC_PER_CLASS)
    return images(labels, seed=1), labels


def private(client: int, clients: int) -> tuple[Tensor, Tensor]:
    """What one client has: all classes j with j mod K = k."""
    labels = torch.arange(client % clients, CLASSES, clients).repeat(PRIVATE_PER_CLASS)
    return images(labels, seed=100 + client), labels


def model(seed: int) -> nn.Module:
    """A small classifier; clients and server may as well have different ones, which is FedMD's point."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 64), nn.ReLU(), nn.Linear(64, CLASSES))


def learn(network: nn.Module, inputs: Tensor, targets: Tensor, epochs: int) -> None:
    """Toward labels int64 [n], or toward logits float [n, J]."""
    loss = F.cross_entropy if targets.dtype == torch.int64 else F.l1_loss
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(inputs)).split(32):
            optimizer.zero_grad()
            loss(network(inputs[rows]), targets[rows]).backward()
            optimizer.step()


@torch.no_grad()
def logits(network: nn.Module, inputs: Tensor) -> Tensor:
    """float32 [n, J]."""
    found: Tensor = network.eval()(inputs)
    network.train()
    return found
