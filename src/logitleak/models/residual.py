"""The residual networks that the field trains on small images (He et al., 2016), with group normalization, so that no
batch statistics leak, drift between clients, or fail on a last batch of one."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from logitleak.models.base import Classifier


class BasicBlock(nn.Module):
    """Two 3×3 convolutions with group normalization, and a shortcut.

    Args:
        channels_in, channels_out, stride: of the first convolution.
        shortcut: from the block's input to the shape of its output.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int, shortcut: nn.Module) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.norm1 = nn.GroupNorm(8, channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.norm2 = nn.GroupNorm(8, channels_out)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class _Residual(Classifier):
    """A 3×3 stem, stages of blocks of which all but the first halve the image, average pooling, logits.

    Args:
        channels: of each stage.
        blocks: in each stage.
        num_classes: J.
    """

    def __init__(self, channels: tuple[int, ...], blocks: int, num_classes: int) -> None:
        super().__init__()
        width = channels[0]
        layers: list[nn.Module] = [
            nn.Conv2d(3, width, 3, 1, 1, bias=False),
            nn.GroupNorm(8, width),
            nn.ReLU(),
        ]
        for stage, out in enumerate(channels):
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                layers.append(BasicBlock(width, out, stride, _identity(width, out, stride)))
                width = out
        self.layers = nn.Sequential(
            *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes)
        )

    def logits(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


def _identity(channels_in: int, channels_out: int, stride: int) -> nn.Module:
    """The identity, projected where the shape changes."""
    if stride == 1 and channels_in == channels_out:
        return nn.Identity()
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.GroupNorm(8, channels_out)
    )


class ResNet8(_Residual):
    """Three stages of one block with 16, 32 and 64 channels: 78,000 weights at ten classes."""

    def __init__(self, image_size: tuple[int, int], num_classes: int) -> None:
        super().__init__((16, 32, 64), 1, num_classes)


class ResNet18(_Residual):
    """Four stages of two blocks with 64 to 512 channels, with the stem for small images: 11.2 million weights."""

    def __init__(self, image_size: tuple[int, int], num_classes: int) -> None:
        super().__init__((64, 128, 256, 512), 2, num_classes)
