"""Box blur, the insensitive domain of the paper's FaceScrub experiments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import PositiveInt

from logitleak.data.degrade.base import Degradation, DegradationSettings, Pixels


class BlurSettings(DegradationSettings):
    """Settings of the blur.

    Attributes:
        size: side of the box in pixels (10 in the paper, at 64×64).
    """

    size: PositiveInt = 10


class Blur(Degradation):
    """The mean over a size × size box around every pixel; edges are repeated."""

    Settings = BlurSettings
    settings: BlurSettings

    def __call__(self, pixels: Pixels, files: Sequence[str]) -> Pixels:
        size = self.settings.size
        before, after = size // 2, size - 1 - size // 2
        out = np.empty_like(pixels)
        for start in range(0, len(pixels), 512):  # bounded memory
            x = pixels[start : start + 512].astype(np.int64)
            x = np.pad(x, ((0, 0), (0, 0), (before, after), (before, after)), "edge")
            for axis in (2, 3):  # running sums: exact in integers, and as quick for any size
                x = np.insert(x.cumsum(axis), 0, 0, axis)
                top = x.take(range(size, x.shape[axis]), axis)
                x = top - x.take(range(x.shape[axis] - size), axis)
            out[start : start + 512] = (x + size * size // 2) // (size * size)
        return out
