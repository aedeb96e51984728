"""Networks that tell images of a domain from translations, and what they and the translators are told by.

They take images float [n, 3, H, W] in [−1, 1], sides multiples of 16, and give scores without bounds.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PatchDiscriminator(nn.Sequential):
    """PatchGAN (Isola et al., 2017): a score for each of many overlapping patches, [n, 1, h, w].

    Halving 4×4 convolutions f, 2f, 4f, then one of 8f and one of one channel at stride 1; leaky ReLU, and
    instance normalization on all but the first and the last. With three halvings a score sees 70×70 pixels.

    Args:
        filters: f; 64 in the paper.
        halvings: 3 in the paper; a small image is halved only down to 4×4.
        side: the smaller side of the images.
    """

    def __init__(self, filters: int, halvings: int, side: int) -> None:
        halvings = min(halvings, int(math.log2(side // 4)))
        channels = [filters * min(2**i, 8) for i in range(halvings + 1)]
        layers: list[nn.Module] = [nn.Conv2d(3, filters, 4, 2, 1), nn.LeakyReLU(0.2)]
        for i in range(1, halvings + 1):
            stride = 2 if i < halvings else 1
            layers += [
                nn.Conv2d(channels[i - 1], channels[i], 4, stride, 1),
                nn.InstanceNorm2d(channels[i]),
                nn.LeakyReLU(0.2),
            ]
        super().__init__(*layers, nn.Conv2d(channels[-1], 1, 4, 1, 1))


class GlobalDiscriminator(nn.Sequential):
    """One score for the whole image, [n, 1, 1, 1]: halvings down to at most 7 pixels, then one convolution over all.

    Args:
        filters: channels of the first layer.
        image_size: height and width.
    """

    def __init__(self, filters: int, image_size: tuple[int, int]) -> None:
        halvings = int(math.log2(min(image_size) // 4))
        channels = [filters * min(2**i, 8) for i in range(halvings)]
        layers: list[nn.Module] = [nn.Conv2d(3, filters, 4, 2, 1), nn.LeakyReLU(0.2)]
        for i in range(1, halvings):
            layers += [
                nn.Conv2d(channels[i - 1], channels[i], 4, 2, 1),
                nn.InstanceNorm2d(channels[i]),
                nn.LeakyReLU(0.2),
            ]
        height, width = (side // 2**halvings for side in image_size)
        super().__init__(*layers, nn.Conv2d(channels[-1], 1, (height, width)))


def least_squares(scores: Tensor, wanted: float) -> Tensor:
    """LSGAN (Mao et al., 2017): mean squared distance of the scores from 1 (real) or 0 (translated)."""
    return (scores - wanted).square().mean()


def relativistic(higher: Tensor, lower: Tensor) -> Tensor:
    """Relativistic average least squares (Jolicoeur-Martineau, 2019), halved as in DeblurGAN-v2.

    Scores that should be the higher are to lie 1 above the mean of the others, and the others 1 below theirs:
    ½ E[(h − E l − 1)²] + ½ E[(l − E h + 1)²]. A discriminator wants the real ones higher, a generator its own.
    """
    above = (higher - lower.mean() - 1).square().mean()
    below = (lower - higher.mean() + 1).square().mean()
    return (above + below) / 2


def pyramid_distance(a: Tensor, b: Tensor, levels: int = 4) -> Tensor:
    """L1 between Laplacian pyramids (Burt and Adelson, 1983), averaged over the levels.

    Every level holds what is lost by halving (2×2 means) and doubling again, the last what remains; so coarse
    shape and fine detail count alike, which a plain pixel distance does not do.
    """
    difference = a - b  # the pyramid is linear: one of the difference will do
    total = torch.zeros((), device=a.device)
    for _ in range(levels - 1):
        smaller = F.avg_pool2d(difference, 2)
        detail = difference - F.interpolate(smaller, scale_factor=2.0, mode="bilinear", align_corners=False)
        total = total + detail.abs().mean()
        difference = smaller
    return (total + difference.abs().mean()) / levels
