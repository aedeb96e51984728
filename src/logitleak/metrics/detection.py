"""How well scores tell members from non-members: areas, operating points and pairs, each with what it does not cover.

Higher scores mean *member* everywhere. Nothing here chooses anything on the scores that it judges: thresholds come from
the other half of the non-members, and no rate is reported that is finer than one in so many of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from logitleak.metrics.proportion import Z95, Share, share

Floats = NDArray[np.float64]


class Area(TypedDict):
    """The area under the curve with its 95 % interval, and how many scores stand behind it."""

    value: float
    low: float
    high: float
    positives: int
    negatives: int


class OperatingPoint(TypedDict):
    """True positives at a false-positive rate that was asked for, and the rate that came out."""

    asked: float
    true_positives: Share
    false_positives: Share


def area(members: Sequence[float], others: Sequence[float]) -> Area:
    """The area under the curve: the chance that a member scores higher than a non-member, ties counting half.

    The interval is Newcombe's (2006, "Confidence intervals for an effect size measure based on the Mann–Whitney
    statistic", method 5): all areas that are no further from what was found than their own standard error allows. It
    stays inside [0, 1] and has a width where everything is told apart. It takes the scores as independent; scores of
    one federation share their models.

    Raises:
        ValueError: one of the groups is empty, or a score is no number.
    """
    a, b = _scores(members), _scores(others)
    m, n = len(a), len(b)
    ranks = stats.rankdata(np.concatenate([a, b]))  # ties share their rank
    value = float((ranks[:m].sum() - m * (m + 1) / 2) / (m * n))
    low, high = interval(value, m, n)
    return Area(value=value, low=low, high=high, positives=m, negatives=n)


def gain(
    members: tuple[Sequence[float], Sequence[float]], others: tuple[Sequence[float], Sequence[float]]
) -> tuple[float, float | None, float | None]:
    """How much larger the area of one score is than that of another on the same members and non-members, with its
    95 % interval (DeLong, DeLong and Clarke-Pearson, 1988); none where no variance is seen, which would make it a
    point.

    Args:
        members: both scores of the members, in the same order.
        others: both scores of the non-members.

    Raises:
        ValueError: there are fewer than two of each, or the scores are not of the same.
    """
    parts = [_placements(_scores(a), _scores(b)) for a, b in zip(members, others, strict=True)]
    (above, below), (above_2, below_2) = parts
    if len(above) != len(above_2) or len(below) != len(below_2) or min(len(above), len(below)) < 2:
        raise ValueError("two scores of the same members and non-members are compared, at least two of each")
    difference = float(above.mean() - above_2.mean())
    variance = (above - above_2).var(ddof=1) / len(above) + (below - below_2).var(ddof=1) / len(below)
    if variance == 0:
        return difference, None, None
    half = Z95 * math.sqrt(variance)
    return difference, difference - half, difference + half


def _placements(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """For each member the share of non-members below it, and for each non-member that of members above it; ties count
    half."""

    def below(values: Floats, sorted_: Floats) -> Floats:
        left, right = np.searchsorted(sorted_, values, "left"), np.searchsorted(sorted_, values, "right")
        found: Floats = (left + right) / 2 / len(sorted_)
        return found

    return below(a, np.sort(b)), 1 - below(b, np.sort(a))


def operating_point(members: Sequence[float], others: Sequence[float], rate: float) -> OperatingPoint | None:
    """True positives where about this share of the non-members is called members.

    Each half of the non-members gives the threshold for the other half and for half of the members, so that no score
    is judged by a threshold that it helped to set; what is asked for is therefore not what comes out, and both are
    reported. Halves are taken by turns, in the order of the scores given.

    Returns:
        None where a half has not enough non-members: a rate below one in so many cannot be measured.

    Raises:
        ValueError: a group is empty, a score is no number, or the rate is not in (0, 1).
    """
    if not 0 < rate < 1:
        raise ValueError(f"a false-positive rate is between 0 and 1, not {rate}")
    a, b = _scores(members), _scores(others)
    if rate * (len(b) // 2) < 1:
        return None
    hits: list[bool] = []
    alarms: list[bool] = []
    for half in (0, 1):
        threshold = _threshold(b[1 - half :: 2], rate)
        hits += (a[half::2] > threshold).tolist()
        alarms += (b[half::2] > threshold).tolist()
    return OperatingPoint(asked=rate, true_positives=share(hits), false_positives=share(alarms))


def _threshold(others: Floats, rate: float) -> float:
    """The smallest score that at most this share of the non-members exceeds."""
    allowed = math.floor(rate * len(others) + 1e-9)
    return float(np.sort(others)[::-1][allowed])


def variance(theta: float, m: int, n: int) -> float:
    """The variance of an area that is θ, found with m members and n others (Newcombe, 2006)."""
    spread = 1 + ((m + n) / 2 - 1) * ((1 - theta) / (2 - theta) + theta / (1 + theta))
    return theta * (1 - theta) * spread / (m * n)


def interval(value: float, m: int, n: int) -> tuple[float, float]:
    """The 95 % interval of an area that was found with m members and n others: its ends θ are those with
    (θ − found)² = z² · variance(θ)."""

    def beyond(theta: float) -> float:
        return (theta - value) ** 2 - Z95**2 * variance(theta, m, n)

    # nothing is beyond just beside what was found, and 0 and 1 are, unless they were found themselves
    least, most = min(value, 1 - 1e-12), max(value, 1e-12)
    low = 0.0 if value == 0 else float(optimize.brentq(beyond, 0.0, least))
    high = 1.0 if value == 1 else float(optimize.brentq(beyond, most, 1.0))
    return low, high


def _scores(values: Sequence[float]) -> Floats:
    found = np.asarray(values, dtype=np.float64)
    if found.size == 0:
        raise ValueError("there is nobody to compare")
    if not np.isfinite(found).all():
        raise ValueError("a score is no number")
    return found
