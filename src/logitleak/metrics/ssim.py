"""Structural similarity (Wang et al., 2004), exact and fast for all pairs of two sets of images.

Gaussian window 11, σ = 1.5, K1 = 0.01, K2 = 0.03, images in [0, 1] with data range 1, reflected at the
border: the definition that torchmetrics computes. The window is separable, so filtering is a product with a
band matrix from the left and from the right (the reflection is folded into the matrix); means and variances
are filtered once for each image, and only the cross term is computed for each pair.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

WINDOW = 11
SIGMA = 1.5
C1 = 0.01**2
C2 = 0.03**2
_CHUNK_BYTES = 1 << 22  # a chunk of pairs that stays in the cache


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """SSIM of matched images.

    Args:
        a, b: [n, C, H, W] in [0, 1], H and W at least 11.

    Returns:
        [n] of the same dtype.

    Raises:
        ValueError: the shapes differ, or the images are smaller than the window.
    """
    if a.shape != b.shape:
        raise ValueError(f"images to compare differ in shape: {list(a.shape)} and {list(b.shape)}")
    return _similarity(a, b, _moments(a), _moments(b))


def ssim_all_pairs(a: Tensor, b: Tensor) -> Tensor:
    """SSIM of every image of one set to every image of another.

    Args:
        a: [n, C, H, W] in [0, 1].
        b: [m, C, H, W] in [0, 1].

    Returns:
        [n, m] of the same dtype.

    Raises:
        ValueError: the images differ in size, or are smaller than the window.
    """
    if a.shape[1:] != b.shape[1:]:
        raise ValueError(f"images to compare differ in shape: {list(a.shape[1:])} and {list(b.shape[1:])}")
    out = torch.empty(len(a), len(b), dtype=a.dtype)
    if out.numel() == 0:
        return out
    moments_a, moments_b = _moments(a), _moments(b)
    step = max(1, _CHUNK_BYTES // (a[0].numel() * a.element_size()))
    for i in range(len(a)):
        for j in range(0, len(b), step):
            to = slice(j, j + step)
            out[i, to] = _similarity(a[i], b[to], moments_a.at(i), moments_b.at(to))
    return out


def mean_ssim_to_others(images: Tensor) -> Tensor:
    """Mean SSIM of each client's image to the other clients' of the same label (Eq. 11, Fig. 4).

    Args:
        images: [K, T, C, H, W] in [0, 1].

    Returns:
        [K, T]; zeros for one client.
    """
    clients, targets = images.shape[:2]
    total = torch.zeros(clients, targets, dtype=images.dtype)
    for i in range(clients):
        for j in range(i + 1, clients):
            similarity = ssim(images[i], images[j])
            total[i] += similarity
            total[j] += similarity
    return total / max(1, clients - 1)


@dataclass(frozen=True)
class _Moments:
    """Filtered mean and variance of each image, [n, C, H, W]."""

    mean: Tensor
    variance: Tensor

    def at(self, index: int | slice) -> _Moments:
        return _Moments(self.mean[index], self.variance[index])


def _moments(x: Tensor) -> _Moments:
    mean = _filter(x)
    return _Moments(mean, _filter(x * x) - mean * mean)


def _similarity(a: Tensor, b: Tensor, ma: _Moments, mb: _Moments) -> Tensor:
    product = ma.mean * mb.mean
    covariance = _filter(a * b).sub_(product)
    numerator = covariance.mul_(2).add_(C2).mul_(product.mul(2).add_(C1))
    denominator = (ma.mean.square() + mb.mean.square()).add_(C1).mul_((ma.variance + mb.variance).add_(C2))
    return numerator.div_(denominator).mean((-3, -2, -1))


def _filter(x: Tensor) -> Tensor:
    """Gaussian filter of [..., H, W], reflected at the border."""
    height, width = x.shape[-2:]
    if min(height, width) < WINDOW:
        raise ValueError(f"SSIM needs images of at least {WINDOW}x{WINDOW} pixels, not {height}x{width}")
    return _band(height, x) @ (x @ _band(width, x).T)


def _band(side: int, like: Tensor) -> Tensor:
    """The matrix [side, side] whose row i holds the Gaussian window around i, reflected where it leaves."""
    offset = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    window = torch.exp(-(offset**2) / (2 * SIGMA**2))
    window /= window.sum()
    position = torch.arange(side)[:, None] + offset.long()
    position = position.abs()
    position = torch.where(position >= side, 2 * (side - 1) - position, position)
    band = torch.zeros(side, side, dtype=torch.float64)
    band.scatter_add_(1, position, window.expand(side, WINDOW).contiguous())
    return band.to(like)
