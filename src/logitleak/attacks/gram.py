"""Gram matrices ZᵀZ, in bounded memory, and their eigenvectors.

With fewer images than inputs (classes by the thousand, or several rounds side by side) everything is computed from ZZᵀ,
which is smaller and has the same eigenvalues, but for zeros.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

ROWS = 2048
"""Rows of inputs that are widened to float64 at a time."""

_TILES = 4


def gram(z: Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
    """ZᵀZ [d, d] of inputs [n, d].

    It is singular but for a ridge term, and float32 is too coarse for a small one. Rows are widened a block
    at a time, and only tiles on and below the diagonal are multiplied: 5/8 of the arithmetic.
    """
    d = z.shape[1]
    total = torch.zeros(d, d, dtype=dtype, device=z.device)
    tile = max(1, -(-d // _TILES))
    for block in z.split(ROWS):
        wide = block.to(dtype)
        for start in range(0, d, tile):
            end = min(start + tile, d)
            total[start:end, :end].addmm_(wide[:, start:end].T, wide[:, :end])
    return total.tril_().add_(total.tril(-1).T)


class Spectrum(NamedTuple):
    """Eigenvalues of ZᵀZ, its eigenvectors, and the mean of its diagonal.

    Attributes:
        values: [r], ascending, not below 0.
        vectors: [d, r]. Left out are at most those of eigenvalues that are 0 as far as the precision can tell: no
            input lies in their directions.
        scale: s.
    """

    values: Tensor
    vectors: Tensor
    scale: float


def spectrum(z: Tensor, dtype: torch.dtype = torch.float64) -> Spectrum:
    """One eigendecomposition, of ZᵀZ or of ZZᵀ, whichever is smaller, for inputs [n, d]."""
    n, d = z.shape
    if n >= d:
        squares = gram(z, dtype)
        values, vectors = torch.linalg.eigh(squares)
        return Spectrum(values.clamp_min(0), vectors, float(squares.diagonal().mean()))
    products = gram(z.T, dtype)
    values, left = torch.linalg.eigh(products)
    kept = values > values[-1] * 10 * torch.finfo(dtype).eps
    values, left = values[kept], left[:, kept]
    vectors = widened(z.T, left)
    return Spectrum(values, vectors.div_(values.sqrt()), float(products.diagonal().sum()) / d)


def widened(z: Tensor, weights: Tensor) -> Tensor:
    """Inputs [n, d], widened to the precision of the weights [d, T] a block of rows at a time, times these: [n, T]."""
    return torch.cat([block.to(weights.dtype) @ weights for block in z.split(ROWS)])
