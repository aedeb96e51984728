"""What translators and discriminators are told by; images are [n, 3, H, W] in [−1, 1], scores of any shape."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


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
