"""Areas, operating points and their intervals: closed forms, scikit-learn, and games without information."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from logitleak.metrics.detection import area, gain, operating_point


@pytest.mark.parametrize("ties", [False, True])
def test_the_area_is_that_of_scikit_learn(ties: bool) -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(0.7, 1, 23), rng.normal(0, 1, 57)
    if ties:
        a, b = a.round(), b.round()
    found = area(a.tolist(), b.tolist())
    assert found["value"] == pytest.approx(roc_auc_score([1] * 23 + [0] * 57, [*a, *b]))
    assert (found["positives"], found["negatives"]) == (23, 57)
    assert found["low"] < found["value"] < found["high"]


def test_the_ends_solve_newcombes_equation() -> None:
    found = area([3, 4, 5, 9, 11, 6], [1, 2, 3, 7, 4, 2, 0.5])
    m, n = found["positives"], found["negatives"]
    for end in (found["low"], found["high"]):
        variance = (
            end * (1 - end) / (m * n) * (1 + ((m + n) / 2 - 1) * ((1 - end) / (2 - end) + end / (1 + end)))
        )
        assert abs(end - found["value"]) == pytest.approx(1.959963984540054 * variance**0.5)


def test_all_told_apart_still_has_a_width_that_shrinks() -> None:
    widths = []
    for n in (5, 20, 200):
        found = area(list(range(n, 2 * n)), list(range(n)))
        assert (found["value"], found["high"]) == (1.0, 1.0)
        widths.append(1 - found["low"])
    assert widths[0] > widths[1] > widths[2] > 0
    swapped = area(list(range(20)), list(range(20, 40)))
    assert (swapped["value"], swapped["low"]) == (0.0, 0.0)
    assert swapped["high"] == pytest.approx(widths[1])  # which side is called member is a matter of words


def test_all_ties_are_one_half() -> None:
    found = area([2.0] * 9, [2.0] * 4)
    assert found["value"] == 0.5
    assert operating_point([2.0] * 90, [2.0] * 40, 0.1)["true_positives"]["value"] == 0  # type: ignore[index]


@pytest.mark.parametrize("n", [10, 100, 1000, 10_000])
def test_scores_without_information(n: int) -> None:
    """One half lies in the interval in about 95 % of games, and no operating point is better than its rate."""
    rng, games = np.random.default_rng(n), 400 if n < 10_000 else 60
    inside, hits, alarms, trials = 0, 0, 0, 0
    for _ in range(games):
        scores, coins = rng.normal(size=n), rng.permutation(n) < n // 2
        scores = -scores if rng.random() < 0.5 else scores
        found = area(scores[coins].tolist(), scores[~coins].tolist())
        inside += found["low"] <= 0.5 <= found["high"]
        point = operating_point(scores[coins].tolist(), scores[~coins].tolist(), 0.1)
        if point is not None:
            hits += int(point["true_positives"]["successes"])
            alarms += int(point["false_positives"]["successes"])
            trials += n // 2
    assert stats.binomtest(inside, games, 0.95).pvalue > 1e-3 or inside / games > 0.95
    if trials:
        assert abs(hits - alarms) / trials < 4 * (2 * 0.1 * 0.9 / trials) ** 0.5 + 0.01


def test_a_planted_leak_is_found_and_its_rate_is_the_realized_one() -> None:
    rng = np.random.default_rng(0)
    members, others = rng.normal(3, 1, 2000), rng.normal(0, 1, 2000)
    found = area(members.tolist(), others.tolist())
    assert found["low"] < stats.norm.cdf(3 / 2**0.5) < found["high"]
    point = operating_point(members.tolist(), others.tolist(), 0.01)
    assert point is not None
    assert point["false_positives"]["low"] < 0.01 < point["false_positives"]["high"]
    assert point["true_positives"]["value"] == pytest.approx(
        stats.norm.sf(stats.norm.isf(0.01) - 3), abs=0.05
    )


def test_rows_in_another_order_and_roles_swapped() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.normal(1, 1, 30), rng.normal(0, 1, 50)
    there, back = area(a.tolist(), b.tolist()), area(rng.permutation(a).tolist(), rng.permutation(b).tolist())
    assert there == back
    swapped = area(b.tolist(), a.tolist())
    assert swapped["value"] == pytest.approx(1 - there["value"])
    assert swapped["low"] == pytest.approx(1 - there["high"])


def test_no_rate_below_one_in_so_many() -> None:
    assert operating_point(list(range(50)), list(range(99)), 0.01) is None
    assert operating_point(list(range(50)), list(range(200)), 0.01) is not None


def test_no_true_positive_is_zero() -> None:
    point = operating_point([0.0] * 10, list(range(1, 41)), 0.1)
    assert point is not None
    assert point["true_positives"]["value"] == 0.0


@pytest.mark.parametrize(("members", "others"), [([], [1.0]), ([1.0], []), ([float("nan")], [1.0])])
def test_nobody_and_no_number(members: list[float], others: list[float]) -> None:
    with pytest.raises(ValueError, match=r"nobody|no number"):
        area(members, others)


def test_a_lead_is_that_of_a_bootstrap() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.normal(1, 1, 120), rng.normal(0, 1, 150)
    a2, b2 = a + rng.normal(0, 1, 120), b + rng.normal(0, 1, 150)
    found, low, high = gain((a.tolist(), a2.tolist()), (b.tolist(), b2.tolist()))
    assert found == pytest.approx(
        area(a.tolist(), b.tolist())["value"] - area(a2.tolist(), b2.tolist())["value"]
    )
    draws = []
    for _ in range(800):
        i, j = rng.integers(0, 120, 120), rng.integers(0, 150, 150)
        ones, twos = area(a[i].tolist(), b[j].tolist()), area(a2[i].tolist(), b2[j].tolist())
        draws.append(ones["value"] - twos["value"])
    assert (high - low) / 2 == pytest.approx(1.96 * np.std(draws), rel=0.15)
    assert low < np.mean(draws) < high
    same = gain(([1.0, 2, 2], [1.0, 2, 2]), ([0.0, 2], [0.0, 2]))
    assert same == (0, None, None)  # no variance was seen, which makes no point of it
    with pytest.raises(ValueError, match="same members"):
        gain(([1.0], [1.0]), ([0.0, 2], [0.0, 2]))
