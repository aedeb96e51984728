"""Networks of GANs that begin with a vector: a generator, which may be shown an image besides, and a critic.

Images are float [n, 3, H, W] in [−1, 1], of any sides from 8 pixels on. Nothing has batch statistics, so what becomes
of a vector does not depend on the others of its batch.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GROUPS = 4
"""Of channels that are normalized together."""


class LatentGenerator(nn.Module):
    """From a vector to an image: a map of 4 to 7 pixels that is doubled until it is an image (DCGAN, Radford et al.,
    2016, with group normalization and without transposed convolutions).

    Where it is shown an image, two halving convolutions bring that to a quarter of the side, and what they make of it
    stands beside the maps of the vector from there on (as in GMI's generator, Zhang et al., 2020).

    Args:
        latent: length of the vector.
        filters: channels of the last map, a multiple of 4; up to eight times as many before.
        image_size: height and width.
        shown: whether it is shown an image.
    """

    def __init__(self, latent: int, filters: int, image_size: tuple[int, int], shown: bool = False) -> None:
        super().__init__()
        self.image_size = image_size
        doublings = max(2, int(math.log2(min(image_size) / 4)))
        self.first_size = tuple(math.ceil(side / 2**doublings) for side in image_size)
        channels = [filters * min(2**i, 8) for i in reversed(range(doublings))]  # after each doubling
        self.first = nn.Linear(latent, 2 * channels[0] * math.prod(self.first_size))
        self.shown = (
            nn.Sequential(
                nn.Conv2d(3, filters, 4, 2, 1), nn.SiLU(), *_normed(nn.Conv2d(filters, filters, 4, 2, 1))
            )
            if shown
            else None
        )
        before = [2 * channels[0], *channels[:-1]]
        if shown:
            before[doublings - 2] += filters
        self.doubling = nn.ModuleList(
            nn.Sequential(*_normed(nn.Conv2d(a, b, 3, 1, 1))) for a, b in zip(before, channels, strict=True)
        )
        self.last = nn.Conv2d(channels[-1], 3, 3, 1, 1)

    def forward(self, z: Tensor, image: Tensor | None = None) -> Tensor:
        """Images of vectors [n, latent]; beside [n, 3, H, W] where it is shown one."""
        y = self.first(z).unflatten(1, (-1, *self.first_size))
        for i, layer in enumerate(self.doubling):
            if self.shown is not None and i == len(self.doubling) - 2:
                seen = self.shown(_even(image))
                y = torch.cat([y[..., : seen.shape[-2], : seen.shape[-1]], seen], 1)
            y = layer(F.interpolate(y, scale_factor=2.0, mode="nearest"))
        height, width = self.image_size
        return torch.tanh(self.last(y[..., :height, :width]))


class Critic(nn.Sequential):
    """A score without bounds for each whole image, [n]: halving convolutions with leaky ReLU and no normalization, of
    which WGAN-GP has none that mixes images, then one linear layer.

    Args:
        filters: channels of the first layer.
        image_size: height and width.
        channels: of the images; six where another image stands beside each.
    """

    def __init__(self, filters: int, image_size: tuple[int, int], channels: int = 3) -> None:
        halvings = max(2, int(math.log2(min(image_size) / 4)))
        widths = [channels, *(filters * min(2**i, 8) for i in range(halvings))]
        layers: list[nn.Module] = []
        for a, b in pairwise(widths):
            layers += [nn.Conv2d(a, b, 3, 2, 1), nn.LeakyReLU(0.2)]
        area = math.prod(math.ceil(side / 2**halvings) for side in image_size)
        super().__init__(*layers, nn.Flatten(), nn.Linear(widths[-1] * area, 1), nn.Flatten(0))


def _normed(convolution: nn.Conv2d) -> tuple[nn.Module, ...]:
    return convolution, nn.GroupNorm(GROUPS, convolution.out_channels), nn.SiLU()


def _even(image: Tensor | None) -> Tensor:
    """The image with sides that are multiples of four."""
    if image is None:
        raise ValueError("this generator is shown an image, and there is none")
    height, width = image.shape[-2:]
    return F.pad(image, (0, -width % 4, 0, -height % 4), mode="replicate")
