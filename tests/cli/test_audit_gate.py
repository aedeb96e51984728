"""The gate of an audit: what is above a limit, what is not, and what nobody could have said."""

from __future__ import annotations

import pytest

from logitleak.cli.audit import AboveLimit, NotAnswered, held_against
from logitleak.report.audit.findings import Claim, Finding


def area(low: float, members: int = 20, others: int = 20, value: float = 0.9) -> Finding:
    claim = Claim("which people took part", "none", "Said.", value, low, 1.0, (members, others))
    return Finding("identity", "", "none", "Said.", value, low, 1.0, (claim,))


def two(where: float, who: float, others: int = 20) -> Finding:
    """Both claims of an audit of identities, by the lower ends of their areas."""
    first = Claim("at which client which people are", "none", "Said.", 1.0, where, 1.0, (20, 60))
    second = Claim("which people took part", "none", "Said.", 0.7, who, 0.9, (others, others))
    low = max(where, who)
    return Finding("identity", "", "none", "Said.", 1.0, low, 1.0, (first, second))


def bound(value: float | None, ceiling: float | None = None) -> Finding:
    return Finding("epsilon", "", "none", "There is no bound: no coins.", value, value, ceiling=ceiling)


PASSED = [
    (area(0.55), 0.6),
    (area(0.6), 0.6),
    (area(0.2, 8, 8, 0.4), 0.6),
    (bound(0.0, 1.8), 1.0),
    (bound(1.0, 1.8), 1.0),
]
SILENT = [
    (Finding("identity", "", "unknown", "Nobody said who holds what."), 0.6, "not answered.*Nobody said"),
    (Finding("identity", "", "unknown", "Said.", 0.3), 0.6, "not answered"),  # a number without an interval
    (area(0.3, 3, 3), 0.6, "so few would show 0.501"),
    (bound(None), 1.0, "not answered.*no coins"),
    (bound(0.0, 0.9), 1.0, "so few would show 0.9 at most"),
]


@pytest.mark.parametrize(("one", "limit"), PASSED)
def test_what_is_not_shown_to_be_above_passes(one: Finding, limit: float) -> None:
    held_against({one.audit: limit}, [one, Finding("shares", "", "clear", "", 1.0, 1.0)], {})


@pytest.mark.parametrize(("one", "limit", "said"), SILENT)
def test_what_nobody_can_say_does_not_pass(one: Finding, limit: float, said: str) -> None:
    with pytest.raises(NotAnswered, match=said) as refused:
        held_against({one.audit: limit}, [one], {"answers": {}})
    assert (refused.value.code, refused.value.found) == (2, {"answers": {}})
    assert "\n" not in str(refused.value)
    held_against({}, [one], {})  # nobody asked


def test_what_is_above_comes_first() -> None:
    with pytest.raises(
        AboveLimit, match=r"identity is 0.9, at least 0.8, and 0.6 is allowed; epsilon was not"
    ) as above:
        held_against({"identity": 0.6, "epsilon": 1.0}, [area(0.8), bound(None)], {})
    assert above.value.code == 1


@pytest.mark.parametrize(
    ("where", "who", "said"),
    [
        (
            0.69,
            0.39,
            r"^identity \(at which client which people are\) is 1, at least 0.69, and 0.5 is allowed\.$",
        ),
        (0.39, 0.69, r"^identity \(which people took part\) is 0.7, at least 0.69, and 0.5 is allowed\.$"),
    ],
)
def test_either_area_may_be_above(where: float, who: float, said: str) -> None:
    with pytest.raises(AboveLimit, match=said):
        held_against({"identity": 0.5}, [two(where, who)], {})
    held_against({"identity": 0.7}, [two(where, who)], {})


def test_an_area_of_too_few_is_no_pass_because_the_other_has_enough() -> None:
    with pytest.raises(NotAnswered, match=r"identity \(which people took part\) could not have been shown"):
        held_against({"identity": 0.6}, [two(0.5, 0.3, 3)], {})
