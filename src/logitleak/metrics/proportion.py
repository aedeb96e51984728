"""Proportions with their intervals: a share of 20 targets is no number without one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypedDict

Z95 = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""


class Share(TypedDict):
    """A proportion with its Wilson 95 % interval."""

    value: float
    low: float
    high: float
    successes: int
    trials: int


def share(outcomes: Sequence[bool]) -> Share:
    """The share of true outcomes.

    Raises:
        ValueError: there are no outcomes.
    """
    return clustered(sum(outcomes), len(outcomes), len(outcomes))


def clustered(successes: int, trials: int, units: float) -> Share:
    """The share of so many successes where the same units were tried again and again: its interval is that of one
    trial for each unit. What one unit does in several trials is alike at most, so that is wide enough.

    Raises:
        ValueError: there are no trials or units, or more successes than trials.
    """
    if trials < 1:
        raise ValueError("no trials are no proportion")
    low, high = wilson(units * successes / trials, units)
    return Share(value=successes / trials, low=low, high=high, successes=successes, trials=trials)


def wilson(successes: float, trials: float, z: float = Z95) -> tuple[float, float]:
    """The Wilson score interval of a proportion (Wilson, 1927).

    Raises:
        ValueError: there are no trials, or more successes than trials.
    """
    if trials <= 0 or not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes of {trials} trials are no proportion")
    p, z2 = successes / trials, z * z
    center = (p + z2 / (2 * trials)) / (1 + z2 / trials)
    half = z / (1 + z2 / trials) * math.sqrt(p * (1 - p) / trials + z2 / (4 * trials * trials))
    # exact ends: rounding must not leave [0, 1]
    low = 0.0 if successes == 0 else max(0.0, center - half)
    high = 1.0 if successes == trials else min(1.0, center + half)
    return low, high
