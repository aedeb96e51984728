"""Which client's reconstruction to believe (Eq. 11)."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from logitleak.metrics.image import total_variation
from logitleak.metrics.ssim import mean_ssim_to_others
from logitleak.types import Reconstructions


def select(images: Tensor, labels: Tensor, beta: float, unheard: Collection[int] = ()) -> Reconstructions:
    """Choose, for each target, the most distinct and cleanest of the clients' reconstructions.

    The score of client k is the mean SSIM of its image to the other clients' images of the same label, plus
    β times its total variation; the smallest wins. (The paper writes a sum over the others; the mean is
    Σ / (K − 1), so that β means the same for every K.) With one client there is nothing to compare.

    Args:
        images: float32 [K, T, 3, H, W] in [0, 1].
        labels: int64 [T].
        beta: weight of total variation.
        unheard: clients of whom nothing is known, because they were absent in every round. What stands for them
            is no reconstruction: they are not compared with, and their score is infinite, unless nobody was heard.
            So are they for a client with a pixel that is no number.
    """
    # one image that is no number would make every comparison none, and argmin would prefer it
    broken = {k for k in range(len(images)) if not bool(images[k].isfinite().all())}
    heard = torch.tensor(
        [k for k in range(len(images)) if k not in {*unheard, *broken}] or range(len(images))
    )
    scores = torch.full(images.shape[:2], torch.inf)
    scores[heard] = beta * total_variation(images[heard]) + mean_ssim_to_others(images[heard])
    return smallest(images, labels, scores)


def smallest(
    images: Tensor, labels: Tensor, scores: Tensor, unheard: Collection[int] = ()
) -> Reconstructions:
    """Choose, for each target, the client with the smallest score.

    Args:
        images: float32 [K, T, 3, H, W] in [0, 1].
        labels: int64 [T].
        scores: float32 [K, T]; NaN is infinite.
        unheard: clients of whom nothing is known; their score is infinite, whatever it says.
    """
    scores = torch.where(scores.isnan(), torch.inf, scores)
    scores[sorted(unheard)] = torch.inf
    return Reconstructions(images, labels, scores.argmin(0), scores)
