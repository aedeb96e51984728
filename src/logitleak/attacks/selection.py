"""Which client's reconstruction to believe (Eq. 11)."""

from __future__ import annotations

from torch import Tensor

from logitleak.metrics.image import total_variation
from logitleak.metrics.ssim import mean_ssim_to_others
from logitleak.types import Reconstructions


def select(images: Tensor, labels: Tensor, beta: float) -> Reconstructions:
    """Choose, for each target, the most distinct and cleanest of the clients' reconstructions.

    The score of client k is the mean SSIM of its image to the other clients' images of the same label, plus
    β times its total variation; the smallest wins. (The paper writes a sum over the others; the mean is
    Σ / (K − 1), so that β means the same for every K.) With one client there is nothing to compare.

    Args:
        images: float32 [K, T, 3, H, W] in [0, 1].
        labels: int64 [T].
        beta: weight of total variation.
    """
    scores = beta * total_variation(images) + mean_ssim_to_others(images)
    return Reconstructions(images, labels, scores.argmin(0), scores)
