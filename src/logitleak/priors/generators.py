"""Networks that turn an insensitive image into a sensitive one: U-Net, ResNet and feature pyramid.

All take and give images float [n, 3, H, W] in [−1, 1], sides multiples of 16. None has batch statistics, so an
image's translation does not depend on the others of its batch.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class UNet(nn.Module):
    """A light U-Net (Ronneberger et al., 2015) that adds a correction to its input.

    Squares of 2×2 pixels become channels first, which makes it four times cheaper; then two halvings with f,
    2f and 4f channels and group normalization. Two channels with the coordinates of the pixels go in beside
    the image: faces are aligned, so where a pixel is says much about what it should become.

    Args:
        filters: f, a multiple of 4.
    """

    def __init__(self, filters: int) -> None:
        super().__init__()
        f = filters
        self.down = nn.ModuleList(
            [_normed(20, f), _normed(f, 2 * f, stride=2), _normed(2 * f, 4 * f, stride=2)]
        )
        self.up = nn.ModuleList([_normed(6 * f, 2 * f), _normed(3 * f, f)])
        self.last = nn.Conv2d(f, 12, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = F.pixel_unshuffle(torch.cat([x, _coordinates(x)], 1), 2)
        skips = []
        for down in self.down:
            y = down(y)
            skips.append(y)
        skips.pop()
        for up in self.up:
            y = up(torch.cat([_double(y), skips.pop()], 1))
        return x + F.pixel_shuffle(self.last(y), 2)

    def start_at_identity(self) -> None:
        """Set the last convolution to zero, so that an untrained network returns its input."""
        for value in self.last.parameters():
            nn.init.zeros_(value)


def _normed(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    """Two 3×3 convolutions, each with group normalization and SiLU; the first may halve the image."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False),
        nn.GroupNorm(4, channels_out),
        nn.SiLU(),
        nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False),
        nn.GroupNorm(4, channels_out),
        nn.SiLU(),
    )


def _coordinates(x: Tensor) -> Tensor:
    """Row and column of every pixel in [−1, 1], [n, 2, H, W]."""
    n, _, height, width = x.shape
    rows = torch.linspace(-1, 1, height, device=x.device, dtype=x.dtype)[:, None].expand(height, width)
    columns = torch.linspace(-1, 1, width, device=x.device, dtype=x.dtype).expand(height, width)
    return torch.stack([rows, columns]).expand(n, 2, height, width)


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")
