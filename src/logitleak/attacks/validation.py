"""Choice of a ridge weight without the truth: generalized cross-validation (Golub, Heath and Wahba, 1979)."""

from __future__ import annotations

import torch
from torch import Tensor

GRID = tuple(10 ** (e / 4) for e in range(-20, 9))
"""Candidate weights, 1e-5 to 100, four in a decade."""


def generalized_cross_validation(z: Tensor, images: Tensor, grid: tuple[float, ...]) -> float:
    """The weight λ of the grid that minimizes n ‖X − H X‖² / (n − tr H − 1)² on the public images.

    H = Z (ZᵀZ + λ s I)⁻¹ Zᵀ with s the mean of the diagonal of ZᵀZ; the 1 stands for the centering. One
    eigendecomposition of the Gram matrix serves the whole grid.

    Args:
        z: [n, d] centered inputs.
        images: [n, p] centered images.
        grid: candidate weights, > 0.
    """
    scores = gcv_scores(z, images, grid)
    return grid[int(scores.argmin())]


def gcv_scores(z: Tensor, images: Tensor, grid: tuple[float, ...]) -> Tensor:
    """The criterion for every weight of the grid, float64 [len(grid)]."""
    n = len(z)
    gram = z.T @ z
    scale = float(gram.diagonal().mean().to(torch.float64))
    values, vectors = torch.linalg.eigh(gram)
    projected = (z @ vectors).T @ images  # [d, p]
    energy = projected.square().sum(1, dtype=torch.float64)
    values = values.to(torch.float64).clamp_min(0)
    total = images.square().sum(dtype=torch.float64)
    scores = torch.empty(len(grid), dtype=torch.float64)
    for i, lam in enumerate(grid):
        shrunk = values + lam * scale
        residual = total - (2 * energy / shrunk - values * energy / shrunk.square()).sum()
        freedom = n - 1 - (values / shrunk).sum()
        scores[i] = n * residual.clamp_min(0) / freedom.clamp_min(1e-9).square()
    return scores
