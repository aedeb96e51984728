"""A small residual network, for federations whose clients do not share an architecture."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from logitleak.models.base import Classifier


class Block(nn.Module):
    """Two 3×3 convolutions with group normalization (no batch statistics to leak or drift) and a shortcut."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.norm1 = nn.GroupNorm(8, channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.norm2 = nn.GroupNorm(8, channels_out)
        self.shortcut = nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class ResNet(Classifier):
    """A stem that halves the image, three blocks of 16, 32 and 64 channels, average pooling, logits."""

    def __init__(self, image_size: tuple[int, int], num_classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2),
            nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(64 * 16, num_classes),
        )  # fmt: skip

    def logits(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out
