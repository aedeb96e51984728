"""Whether numbers are numbers, in one pass: uploads are gigabytes, and are looked at whenever they are used."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def largest(values: Tensor) -> float:
    """The largest absolute value; NaN where one is NaN, 0 where there is none."""
    if values.numel() == 0:
        return 0.0
    low, high = (float(end) for end in torch.aminmax(values))  # NaN is passed on to both
    return max(abs(low), abs(high)) if low == low else math.nan


def all_finite(values: Tensor) -> bool:
    """Whether there is no NaN and no infinity."""
    return math.isfinite(largest(values))
