"""What private data changed: shares and likenesses with it against without it.

A *leak* is success in minus success out. Where every target was tried both ways the comparison is paired, and its
interval is Newcombe's (1998, "Improved confidence intervals for the difference between binomial proportions based on
paired data", method 10); where different targets were in and out it is his method 10 for independent shares. All tests
are two-sided.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from scipy import stats

from logitleak.metrics.proportion import wilson

RESAMPLES = 4000

TABLE = ("both", "only_in", "only_out", "neither")
"""What `table` counts, in its order."""


class Leak(TypedDict):
    """In minus out with its 95 % interval and a two-sided p-value (null where there is no exact test)."""

    value: float
    low: float
    high: float
    p: float | None
    method: str


class Wins(TypedDict):
    """How often the likeness was larger *in* than *out*; ties are left out of the share. All tied: p is 1."""

    value: float | None
    low: float | None
    high: float | None
    successes: int
    trials: int
    ties: int
    p: float


class Difference(TypedDict):
    """Means in and out, and their difference with a 95 % interval (null for fewer than two targets)."""

    difference: float | None
    low: float | None
    high: float | None


def paired_leak(inside: Sequence[bool], outside: Sequence[bool]) -> Leak:
    """The leak of n targets that were each tried once in and once out.

    Newcombe's method 10 for paired shares, with φ's numerator lowered by n/2 but not below 0 where it is positive, and
    the exact McNemar test.

    Raises:
        ValueError: there are no targets, or not equally many results.
    """
    return counted_leak(*table(inside, outside))


def counted_leak(both: int, only_in: int, only_out: int, neither: int) -> Leak:
    """The same from how many of n ≥ 1 targets succeeded in both, only in, only out, in neither."""
    n = both + only_in + only_out + neither
    p1, p2 = (both + only_in) / n, (both + only_out) / n
    margins = (both + only_in) * (only_out + neither) * (both + only_out) * (only_in + neither)
    phi = 0.0
    if margins:
        product = both * neither - only_in * only_out
        phi = (max(product - n / 2, 0.0) if product > 0 else product) / math.sqrt(margins)
    low, high = _newcombe(p1, wilson(both + only_in, n), p2, wilson(both + only_out, n), phi)
    return Leak(value=p1 - p2, low=low, high=high, p=mcnemar(only_in, only_out), method="newcombe-10")


def independent_leak(inside: Sequence[bool], outside: Sequence[bool]) -> Leak:
    """The leak where different targets were in and out: Newcombe's interval for independent shares (φ = 0) and
    Fisher's exact test.

    Raises:
        ValueError: one of the groups is empty.
    """
    return counted_groups(sum(inside), len(inside), sum(outside), len(outside))


def counted_groups(s1: int, n1: int, s2: int, n2: int) -> Leak:
    """The same from s1 successes of n1 targets that were in, and s2 of n2 that were out."""
    low, high = _newcombe(s1 / n1, wilson(s1, n1), s2 / n2, wilson(s2, n2), 0.0) if n1 and n2 else _nobody()
    p = float(stats.fisher_exact([[s1, n1 - s1], [s2, n2 - s2]]).pvalue)
    return Leak(value=s1 / n1 - s2 / n2, low=low, high=high, p=p, method="newcombe-independent")


def bootstrap_leak(inside: Sequence[float], outside: Sequence[float]) -> Leak:
    """The leak where every target was in in several worlds and out in several: the mean difference per target, with a
    percentile bootstrap over targets. Worlds of one target share its image, so targets are what is drawn. It has no
    p-value of its own.

    Raises:
        ValueError: there are no targets, or not equally many results.
    """
    value, low, high = _bootstrap(np.asarray(inside, float) - np.asarray(outside, float))
    return Leak(value=value, low=low, high=high, p=None, method="bootstrap")


def table(inside: Sequence[bool], outside: Sequence[bool]) -> tuple[int, int, int, int]:
    """Targets that succeeded in both, only in, only out, in neither.

    Raises:
        ValueError: there are no targets, or not equally many results.
    """
    pairs = list(zip(map(bool, inside), map(bool, outside), strict=True))
    if not pairs:
        _nobody()
    a, b, c, d = (pairs.count(kind) for kind in ((True, True), (True, False), (False, True), (False, False)))
    return a, b, c, d


def mcnemar(only_in: int, only_out: int) -> float:
    """Exact two-sided p-value of the discordant pairs: binomial(b; b + c, ½); 1 where there are none."""
    discordant = only_in + only_out
    return float(stats.binomtest(only_in, discordant, 0.5).pvalue) if discordant else 1.0


def wins(inside: Sequence[float], outside: Sequence[float]) -> Wins:
    """How often a target's likeness is larger in than out, with Wilson's interval and an exact binomial test.

    An attack that ignores what clients send gives the same image both times: a tie, which says nothing either way.
    """
    pairs = list(zip(inside, outside, strict=True))
    won, lost = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
    ties, trials = len(pairs) - won - lost, won + lost
    if trials == 0:
        return Wins(value=None, low=None, high=None, successes=0, trials=0, ties=ties, p=1.0)
    low, high = wilson(won, trials)
    return Wins(
        value=won / trials, low=low, high=high, successes=won, trials=trials, ties=ties,
        p=float(stats.binomtest(won, trials, 0.5).pvalue),
    )  # fmt: skip


def paired_difference(inside: Sequence[float], outside: Sequence[float]) -> Difference:
    """Mean paired difference, with Student's interval; none where all differences are alike, which would make it a
    point."""
    difference = np.asarray(inside, float) - np.asarray(outside, float)
    if len(difference) < 2 or np.ptp(difference) == 0:
        return Difference(difference=float(difference.mean()), low=None, high=None)
    half = float(
        stats.t.ppf(0.975, len(difference) - 1) * difference.std(ddof=1) / math.sqrt(len(difference))
    )
    mean = float(difference.mean())
    return Difference(difference=mean, low=mean - half, high=mean + half)


def independent_difference(inside: Sequence[float], outside: Sequence[float]) -> Difference:
    """Difference of the means of two groups, with Welch's interval."""
    a, b = np.asarray(inside, float), np.asarray(outside, float)
    mean = float(a.mean() - b.mean())
    if len(a) < 2 or len(b) < 2 or a.std() + b.std() == 0:
        return Difference(difference=mean, low=None, high=None)
    interval = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    return Difference(difference=mean, low=float(interval.low), high=float(interval.high))


def area(inside: Sequence[float], outside: Sequence[float]) -> tuple[float, float]:
    """Area under the curve, in against out (ties count half), and the two-sided p-value of Mann and Whitney."""
    found = stats.mannwhitneyu(inside, outside, alternative="two-sided")
    return float(found.statistic) / (len(inside) * len(outside)), float(found.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) adjusted p-values: reject what is below 0.05, and the chance of one false rejection among all is at
    most that."""
    order = np.argsort(p_values, kind="stable")
    adjusted, least = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = least
    return adjusted


def _newcombe(
    p1: float, first: tuple[float, float], p2: float, second: tuple[float, float], phi: float
) -> tuple[float, float]:
    (l1, u1), (l2, u2) = first, second
    below = (p1 - l1) ** 2 - 2 * phi * (p1 - l1) * (u2 - p2) + (u2 - p2) ** 2
    above = (u1 - p1) ** 2 - 2 * phi * (u1 - p1) * (p2 - l2) + (p2 - l2) ** 2
    return p1 - p2 - math.sqrt(max(below, 0.0)), p1 - p2 + math.sqrt(max(above, 0.0))


def _bootstrap(differences: np.ndarray) -> tuple[float, float, float]:
    if len(differences) == 0:
        _nobody()
    # a fixed stream: the interval of the same numbers is the same everywhere
    draws = np.random.default_rng(0).integers(0, len(differences), (RESAMPLES, len(differences)))
    low, high = np.quantile(differences[draws].mean(1), (0.025, 0.975))
    return float(differences.mean()), float(low), float(high)


def _nobody() -> tuple[float, float]:
    raise ValueError("there are no targets to compare")
