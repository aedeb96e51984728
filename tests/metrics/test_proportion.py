"""Wilson intervals against scipy."""

import pytest
from scipy.stats import binomtest

from logitleak.metrics.proportion import clustered, share, wilson


@pytest.mark.parametrize(("successes", "trials"), [(0, 1), (1, 1), (0, 20), (17, 20), (20, 20), (158, 200)])
def test_equals_scipy(successes: int, trials: int) -> None:
    expected = binomtest(successes, trials).proportion_ci(confidence_level=0.95, method="wilson")
    assert wilson(successes, trials) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_share() -> None:
    found = share([True, False, True, True])
    assert (found["value"], found["successes"], found["trials"]) == (0.75, 3, 4)
    assert 0 < found["low"] < 0.75 < found["high"] < 1


def test_units_that_were_tried_again_count_once_for_the_interval() -> None:
    found = clustered(30, 80, 20)
    assert (found["value"], found["successes"], found["trials"]) == (30 / 80, 30, 80)
    assert (found["low"], found["high"]) == wilson(7.5, 20)
    assert clustered(7, 20, 20) == share([True] * 7 + [False] * 13)
    with pytest.raises(ValueError, match="no proportion"):
        clustered(0, 0, 0)


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (3, 2), (-1, 2)])
def test_no_proportion(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="no proportion"):
        wilson(successes, trials)
