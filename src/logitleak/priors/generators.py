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


class ResNetGenerator(nn.Sequential):
    """CycleGAN's generator (Zhu et al., 2017; Johnson et al., 2016): 7×7 convolution, two halvings, residual
    blocks, two doublings, 7×7 convolution, tanh. Instance normalization, and reflection at the border.

    Args:
        filters: channels of the first layer; 64 in the paper.
        blocks: residual blocks; 3 in the code published with "Breaching FedMD".
    """

    def __init__(self, filters: int, blocks: int) -> None:
        f = filters
        super().__init__(
            nn.Conv2d(3, f, 7, padding=3, padding_mode="reflect"), *_instance_relu(f),
            nn.Conv2d(f, 2 * f, 3, 2, 1), *_instance_relu(2 * f),
            nn.Conv2d(2 * f, 4 * f, 3, 2, 1), *_instance_relu(4 * f),
            *(_Residual(4 * f) for _ in range(blocks)),
            nn.ConvTranspose2d(4 * f, 2 * f, 3, 2, 1, output_padding=1), *_instance_relu(2 * f),
            nn.ConvTranspose2d(2 * f, f, 3, 2, 1, output_padding=1), *_instance_relu(f),
            nn.Conv2d(f, 3, 7, padding=3, padding_mode="reflect"), nn.Tanh(),
        )  # fmt: skip


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect"), *_instance_relu(channels),
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect"), nn.InstanceNorm2d(channels),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.layers(x)
        return out


def _instance_relu(channels: int) -> tuple[nn.Module, nn.Module]:
    return nn.InstanceNorm2d(channels), nn.ReLU()


class PyramidGenerator(nn.Module):
    """DeblurGAN-v2's generator (Kupyn et al., 2019): a feature pyramid whose output corrects its input.

    The paper's backbone is a classifier with downloaded weights; here it is three strided stages of our own,
    trained from the start (1/2, 1/4 and 1/8 of the side; f, 2f and 4f channels). Each level is brought to 2f
    channels and added to the doubled level below; heads of f channels on every level meet at half the side.
    The tanh of the last convolution is added to the input and the sum clamped to [−1, 1].

    Args:
        filters: f.
    """

    def __init__(self, filters: int) -> None:
        super().__init__()
        f = filters
        stages = ((3, f), (f, 2 * f), (2 * f, 4 * f))
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(a, b, 3, 2, 1), *_instance_relu(b), nn.Conv2d(b, b, 3, 1, 1), *_instance_relu(b)
            )
            for a, b in stages
        )
        self.lateral = nn.ModuleList(nn.Conv2d(b, 2 * f, 1) for _, b in stages)
        self.heads = nn.ModuleList(nn.Sequential(nn.Conv2d(2 * f, f, 3, 1, 1), nn.ReLU()) for _ in stages)
        self.smooth = nn.Sequential(nn.Conv2d(3 * f, f, 3, 1, 1), *_instance_relu(f))
        self.fine = nn.Sequential(nn.Conv2d(f + 3, f, 3, 1, 1), nn.ReLU(), nn.Conv2d(f, 3, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        maps = [x]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        level = self.lateral[2](maps[3])
        levels = [level]
        for i in (1, 0):
            level = self.lateral[i](maps[i + 1]) + _double(level)
            levels.append(level)
        side = maps[1].shape[-2:]
        heads = [
            F.interpolate(head(level), size=side, mode="nearest")
            for head, level in zip(self.heads, levels, strict=True)
        ]
        y = _double(self.smooth(torch.cat(heads, 1)))
        correction: Tensor = self.fine(torch.cat([y, x], 1))
        return (x + torch.tanh(correction)).clamp(-1, 1)
