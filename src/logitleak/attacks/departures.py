"""Public images as departures from their mean image, made from bytes a block at a time.

As floats, n rows of p pixels would take four times the room of the public set, and in double precision eight times; the
closed forms need them once, and any block of pixels, or of rows, by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import torch
from torch import Tensor

from logitleak.types import PublicData

NUMBERS = 1 << 22
"""Pixels in a block: 16 MiB of floats."""


class Departures:
    """Some public images, x − x̄ with x̄ their mean: [n, p], never all at once.

    Args:
        public: the public set.
        rows: int64 [n], which of its images, at least one.
        device: where blocks are made; the public set goes there as bytes.

    Attributes:
        rows: int64 [n].
        mean: x̄, float32 [p].
    """

    def __init__(self, public: PublicData, rows: Tensor, device: torch.device) -> None:
        self.rows = rows
        self._pixels = public.images.flatten(1).to(device)
        self._places = rows.to(device)
        self._columns = _slices(self._pixels.shape[1], len(rows))
        self.mean = torch.cat([self._floats(columns).mean(0) for columns in self._columns])

    def by_pixels(self) -> Iterator[tuple[slice, Tensor]]:
        """All rows of some pixels: which, and float32 [n, b]."""
        for columns in self._columns:
            yield columns, self._floats(columns).sub_(self.mean[columns])

    def by_rows(self) -> Iterator[Tensor]:
        """All pixels of some rows, float32 [b, p], in the order of ``rows``."""
        for places in self._places.split(max(1, NUMBERS // self._pixels.shape[1])):
            yield self._pixels[places].to(torch.float32).div_(255).sub_(self.mean)

    def combined(self, shares: Tensor) -> Tensor:
        """Sums of departures, weighted by shares [n, T]: float32 [T, p]."""
        weights = shares.to(torch.float32).T
        return torch.cat([weights @ block for _, block in self.by_pixels()], 1)

    @cached_property
    def spread(self) -> float:
        """Root mean square: the images' standard deviation around their mean image."""
        # image by image: one sum of so many squares would be inexact
        lengths = torch.cat([torch.linalg.vector_norm(block, dim=1) for block in self.by_rows()])
        return float(lengths.double().square().mean().div(len(self.mean)).sqrt())

    def _floats(self, columns: slice) -> Tensor:
        return self._pixels[:, columns][self._places].to(torch.float32).div_(255)


def _slices(pixels: int, rows: int) -> list[slice]:
    """Blocks of pixels, all as large as fits and nearly equal."""
    count = -(-pixels * rows // NUMBERS)
    width = -(-pixels // max(1, min(count, pixels)))
    return [slice(start, min(start + width, pixels)) for start in range(0, pixels, width)]
