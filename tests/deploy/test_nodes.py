"""Which node stands for which client: nodes leave, come back as others, and do not say who they are."""

from __future__ import annotations

from logitleak.deploy.nodes import Nodes
from logitleak.types import Absence


def test_everybody_says_who_they_are() -> None:
    nodes = Nodes(2)
    nodes.look([10, 11])
    assert nodes.strangers() == [10, 11]
    nodes.enter(10, 1)
    nodes.enter(11, 0)
    assert nodes.complete
    assert nodes.nodes == {1: 10, 0: 11}
    nodes.look([10, 11, 12])
    assert nodes.strangers() == []


def test_a_wrong_answer_is_forgotten_with_the_connection() -> None:
    """A registered key keeps its node's id, so the id says nothing about who is behind it now."""
    nodes = Nodes(1)
    nodes.look([10])
    for _ in range(3):
        assert nodes.strangers() == [10]
        nodes.enter(10, Absence("it says 'who?'"))
    assert nodes.strangers() == []
    nodes.look([])
    nodes.look([10])
    assert nodes.strangers() == [10]
    nodes.enter(10, 0)
    assert nodes.complete


def test_a_node_that_comes_back_as_another_client() -> None:
    nodes = Nodes(2)
    nodes.look([10, 11])
    for node, client in zip(nodes.strangers(), (0, 1), strict=True):
        nodes.enter(node, client)
    nodes.look([11])
    assert nodes.nodes == {1: 11}
    nodes.look([10, 12])
    assert nodes.strangers() == [10, 12]
    nodes.enter(10, 1)
    nodes.enter(12, 0)
    assert nodes.nodes == {1: 10, 0: 12}


def test_the_first_to_claim_a_number_keeps_it() -> None:
    nodes = Nodes(2)
    nodes.look([10, 11])
    nodes.strangers()
    nodes.enter(10, 0)
    nodes.enter(11, 0)
    assert nodes.nodes == {0: 10}
    assert nodes.strangers() == []  # it had its answer, and is left out while it stays
