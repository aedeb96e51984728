"""A classifier of one's own for deployed federations: it has buffers that are no floats."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Counted(nn.Module):
    """Normalizes batches, and counts something in 32 bits."""

    steps: Tensor

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(inputs), nn.Linear(inputs, classes))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int32))

    def forward(self, pixels: Tensor) -> Tensor:
        if self.training:
            self.steps += 1
        logits: Tensor = self.net(pixels)
        return logits


def counted(image_size: tuple[int, int], num_classes: int) -> nn.Module:
    """What a configuration names as ``own_model:counted``."""
    return Counted(3 * image_size[0] * image_size[1], num_classes)
