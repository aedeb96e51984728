"""Gram matrices ZᵀZ, in bounded memory."""

from __future__ import annotations

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
