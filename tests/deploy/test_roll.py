"""Which node stands for which client: nodes leave, come back as others, and do not say who they are."""

from __future__ import annotations

from logitleak.deploy.roll import Roll
from logitleak.types import Absence


def test_everybody_says_who_they_are() -> None:
    roll = Roll(2)
    roll.look([10, 11])
    assert roll.strangers() == [10, 11]
    roll.enter(10, 1)
    roll.enter(11, 0)
    assert roll.complete
    assert roll.nodes == {1: 10, 0: 11}
    roll.look([10, 11, 12])
    assert roll.strangers() == []


def test_a_wrong_answer_is_forgotten_with_the_connection() -> None:
    """A registered key keeps its node's id, so the id says nothing about who is behind it now."""
    roll = Roll(1)
    roll.look([10])
    for _ in range(3):
        assert roll.strangers() == [10]
        roll.enter(10, Absence("it says 'who?'"))
    assert roll.strangers() == []
    roll.look([])
    roll.look([10])
    assert roll.strangers() == [10]
    roll.enter(10, 0)
    assert roll.complete


def test_a_node_that_comes_back_as_another_client() -> None:
    roll = Roll(2)
    roll.look([10, 11])
    for node, client in zip(roll.strangers(), (0, 1), strict=True):
        roll.enter(node, client)
    roll.look([11])
    assert roll.nodes == {1: 11}
    roll.look([10, 12])
    assert roll.strangers() == [10, 12]
    roll.enter(10, 1)
    roll.enter(12, 0)
    assert roll.nodes == {1: 10, 0: 12}


def test_the_first_to_claim_a_number_keeps_it() -> None:
    roll = Roll(2)
    roll.look([10, 11])
    roll.strangers()
    roll.enter(10, 0)
    roll.enter(11, 0)
    assert roll.nodes == {0: 10}
    assert roll.strangers() == []  # it had its answer, and is left out while it stays
