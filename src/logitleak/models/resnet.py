"""A small residual network, for federations whose clients do not share an architecture."""

from __future__ import annotations

from torch import Tensor, nn

from logitleak.models.base import Classifier
from logitleak.models.residual import BasicBlock


def _block(channels_in: int, channels_out: int, stride: int) -> BasicBlock:
    """A block whose shortcut is always a projection."""
    shortcut = nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)
    return BasicBlock(channels_in, channels_out, stride, shortcut)


class ResNet(Classifier):
    """A stem that halves the image, three blocks of 16, 32 and 64 channels, average pooling, logits."""

    def __init__(self, image_size: tuple[int, int], num_classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), _block(16, 16, 1), _block(16, 32, 2), _block(32, 64, 2),
            nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(64 * 16, num_classes),
        )  # fmt: skip

    def logits(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out
