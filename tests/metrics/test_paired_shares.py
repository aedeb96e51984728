"""Paired and unpaired comparisons against statsmodels, scipy and published tables."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as their_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep

from logitleak.metrics import paired


def outcomes(both: int, only_in: int, only_out: int, neither: int) -> tuple[list[bool], list[bool]]:
    inside = [True] * (both + only_in) + [False] * (only_out + neither)
    outside = [True] * both + [False] * only_in + [True] * only_out + [False] * neither
    return inside, outside


# (a, b, c, d) and method 10 as published: Newcombe (1998), table I, and Bentur et al. in Fagerland, Lydersen and Laake
PUBLISHED = [
    ((1, 1, 7, 12), (-0.507, -0.026)),
    ((36, 12, 2, 0), (0.0569, 0.3404)),
    ((20, 12, 2, 16), (0.0562, 0.3290)),
]


@pytest.mark.parametrize(("cells", "expected"), PUBLISHED)
def test_newcombe_paired(cells: tuple[int, int, int, int], expected: tuple[float, float]) -> None:
    found = paired.paired_leak(*outcomes(*cells))
    assert (found["low"], found["high"]) == pytest.approx(expected, abs=6e-4)
    assert found["value"] == pytest.approx((cells[1] - cells[2]) / sum(cells))


def by_hand(a: int, b: int, c: int, d: int) -> tuple[float, float]:
    """Method 10 written out once more, with limits of Wilson as roots of a quadratic."""
    n, z = a + b + c + d, stats.norm.ppf(0.975)

    def limits(x: int) -> tuple[float, float]:
        low, high = np.roots([1 + z * z / n, -(2 * x / n + z * z / n), (x / n) ** 2])[::-1].real
        return low, high

    (l1, u1), (l2, u2) = limits(a + b), limits(a + c)
    p1, p2 = (a + b) / n, (a + c) / n
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    top = a * d - b * c
    top = max(top - n / 2, 0) if top > 0 else top
    phi = top / math.sqrt(margins) if margins else 0
    low = math.sqrt((p1 - l1) ** 2 - 2 * phi * (p1 - l1) * (u2 - p2) + (u2 - p2) ** 2)
    high = math.sqrt((u1 - p1) ** 2 - 2 * phi * (u1 - p1) * (p2 - l2) + (p2 - l2) ** 2)
    return p1 - p2 - low, p1 - p2 + high


@pytest.mark.parametrize("seed", range(30))
def test_newcombe_paired_by_hand(seed: int) -> None:
    cells = tuple(np.random.default_rng(seed).integers(0, 12, 4).tolist())
    if sum(cells) == 0:
        cells = (1, 0, 0, 0)
    found = paired.paired_leak(*outcomes(*cells))
    assert (found["low"], found["high"]) == pytest.approx(by_hand(*cells), abs=1e-9)
    assert found["low"] <= found["value"] <= found["high"]


@pytest.mark.parametrize("seed", range(20))
def test_newcombe_independent(seed: int) -> None:
    n1, n2 = np.random.default_rng(seed).integers(3, 40, 2).tolist()
    s1, s2 = (int(np.random.default_rng(seed + 1).integers(0, n + 1)) for n in (n1, n2))
    found = paired.independent_leak([True] * s1 + [False] * (n1 - s1), [True] * s2 + [False] * (n2 - s2))
    expected = confint_proportions_2indep(s1, n1, s2, n2, method="newcomb", compare="diff")
    assert (found["low"], found["high"]) == pytest.approx(expected, abs=1e-9)
    assert found["p"] == pytest.approx(stats.fisher_exact([[s1, n1 - s1], [s2, n2 - s2]])[1])


@pytest.mark.parametrize(("b", "c"), [(0, 0), (5, 0), (13, 0), (7, 3), (1, 9)])
def test_mcnemar(b: int, c: int) -> None:
    expected = their_mcnemar([[4, b], [c, 6]], exact=True).pvalue if b + c else 1.0
    assert paired.mcnemar(b, c) == pytest.approx(expected)


def test_five_to_none_excludes_zero_by_the_interval_and_not_by_the_test() -> None:
    """Why the verdict asks for both."""
    found = paired.paired_leak(*outcomes(0, 5, 0, 15))
    assert found["low"] > 0
    assert found["p"] == pytest.approx(0.0625)


def test_wins() -> None:
    found = paired.wins([0.7] * 18 + [0.1, 0.2, 0.5], [0.5] * 18 + [0.3, 0.4, 0.5])
    assert (found["successes"], found["trials"], found["ties"]) == (18, 20, 1)
    assert found["p"] == pytest.approx(stats.binomtest(18, 20).pvalue)
    assert (found["low"], found["high"]) == pytest.approx(
        stats.binomtest(18, 20).proportion_ci(method="wilson")
    )


def test_all_tied() -> None:
    found = paired.wins([0.5, 0.6], [0.5, 0.6])
    assert found["value"] is None
    assert (found["ties"], found["trials"], found["p"]) == (2, 0, 1.0)


def test_paired_difference() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.7, 0.1, 20), rng.normal(0.5, 0.1, 20)
    found = paired.paired_difference(a.tolist(), b.tolist())
    expected = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert (found["low"], found["high"]) == pytest.approx(tuple(expected))
    assert paired.paired_difference([0.5], [0.2])["low"] is None
    assert paired.paired_difference([1.0, 1.0], [0.0, 0.0]) == {"difference": 1.0, "low": None, "high": None}


def test_independent_difference() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.7, 0.1, 12), rng.normal(0.5, 0.2, 20)
    found = paired.independent_difference(a.tolist(), b.tolist())
    expected = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert (found["low"], found["high"]) == pytest.approx(tuple(expected))
    assert paired.independent_difference([0.5], [0.2, 0.3])["low"] is None


def test_area_counts_ties_half() -> None:
    assert paired.area([1, 2, 2], [2, 0])[0] == pytest.approx((0 + 1 + 0.5 + 1 + 0.5 + 1) / 6)
    assert paired.area([0.5] * 4, [0.5] * 5)[0] == 0.5


def test_holm() -> None:
    p = np.random.default_rng(1).uniform(0, 0.1, 7)
    assert paired.holm(p.tolist()) == pytest.approx(multipletests(p, method="holm")[1].tolist())
    assert paired.holm([]) == []


def test_bootstrap_covers() -> None:
    """Of 200 made-up games with a leak of 0.4 about 95 % of the intervals hold it; 20 targets, four worlds."""
    rng, held = np.random.default_rng(0), 0
    for _ in range(200):
        inside, outside = rng.binomial(2, 0.6, 20) / 2, rng.binomial(2, 0.2, 20) / 2
        found = paired.bootstrap_leak(inside.tolist(), outside.tolist())
        held += found["low"] <= 0.4 <= found["high"]
    assert 175 <= held <= 199


@pytest.mark.parametrize("compare", [paired.paired_leak, paired.independent_leak, paired.bootstrap_leak])
def test_nobody(compare: object) -> None:
    with pytest.raises(ValueError, match="no targets"):
        compare([], [])  # type: ignore[operator]
