"""Schemes that ask for some rows only: an attack uses what was transmitted, and nothing else."""

from collections.abc import Mapping
from typing import ClassVar

import pytest
import torch
from memory import MemoryView
from torch import Tensor

from logitleak.attacks.base import Attack, create
from logitleak.attacks.features import newest_outputs, paired, public_inputs
from logitleak.attacks.pli import PLI


class Selective(MemoryView):
    """Round 1 asks for all rows, later rounds for ``later``."""

    later = torch.tensor([1, 3, 30])

    def client_logits(self, client: int, round: int) -> tuple[Tensor, Tensor]:
        rows = torch.arange(len(self.knowledge.public)) if round == 1 else self.later
        return rows, self.logits[client, round - 1][rows].clone()


def test_newest_pair_of_every_row() -> None:
    view = Selective()
    wanted = view.knowledge.public.rows("sensitive")
    rows, outputs = newest_outputs(view, 0, 2, "full", wanted)
    inputs = paired(outputs, 3.0)
    assert torch.equal(rows, wanted)
    _, first = public_inputs(view, 0, 1, 3.0, "full", wanted)
    _, second = public_inputs(view, 0, 2, 3.0, "full", wanted)
    expected = first.clone()
    expected[[1, 3]] = second  # row 30 is no sensitive image
    assert torch.equal(inputs, expected)


@pytest.mark.parametrize("name", ["pli", "tbi", "ridge"])
def test_values_that_were_not_transmitted_change_nothing(name: str) -> None:
    settings = {} if name == "ridge" else {"width": 16, "batch": 4, "steps": 3}
    results = []
    for seed in (0, 1):
        view = Selective()
        hidden = torch.ones(len(view.knowledge.public), dtype=torch.bool)
        hidden[view.later] = False
        view.logits[:-1, 1][:, hidden] = torch.randn(
            3, int(hidden.sum()), 7, generator=torch.Generator().manual_seed(seed)
        )
        *_, (_, result) = create(name, settings).replay(view)
        results.append(result.images)
    assert torch.equal(*results)


@pytest.mark.parametrize("name", ["pli", "tbi", "ridge"])
def test_a_round_in_which_nothing_was_asked(name: str) -> None:
    settings = {} if name == "ridge" else {"width": 16, "batch": 4, "steps": 3}
    view = Selective()
    view.later = torch.empty(0, dtype=torch.int64)
    attack = create(name, settings)
    rounds = [result.images for _, result in attack.replay(view)]
    assert rounds[1].isfinite().all()
    if name != "ridge":  # the networks learnt nothing new
        assert torch.equal(*rounds)
        assert len(attack.trace.choices["rounds without rows"]) == 3


def test_ridge_without_any_row_claims_the_mean() -> None:
    view = MemoryView(rows=torch.tensor([0]))
    attack = create("ridge")
    _, result = next(attack.replay(view))
    public = view.knowledge.public
    mean = public.pixels(public.rows("sensitive")).mean(0)
    torch.testing.assert_close(result.images, mean.expand_as(result.images))
    assert len(attack.trace.choices["rounds without rows"]) == view.clients


@pytest.mark.parametrize("name", ["pli", "tbi"])
def test_going_on_after_a_round_without_rows(name: str) -> None:
    settings = {"width": 16, "batch": 4, "steps": 3}

    class Late(Selective):
        def client_logits(self, client: int, round: int) -> tuple[Tensor, Tensor]:
            return super().client_logits(client, 1 if round == 2 else 2)

    view = Late()
    view.later = torch.empty(0, dtype=torch.int64)  # nothing in round 1, everything in round 2
    straight = create(name, settings)
    replay = straight.replay(view)
    next(replay)
    kept = {key: value.clone() for key, value in straight.state().items()}
    _, expected = next(replay)
    resumed = create(name, settings)
    resumed.load_state(kept, view)
    ((_, found),) = resumed.replay(view, after=1)
    assert torch.equal(found.images, expected.images)


def test_steps_go_with_the_rows() -> None:
    """A tenth of the rows means a tenth of the steps; epochs shrink by themselves."""
    counted = create("pli", {"width": 16, "batch": 4, "steps": 20})
    assert isinstance(counted, PLI)
    assert [counted._steps(rows, 100) for rows in (100, 50, 10, 2)] == [20, 10, 2, 1]
    passes = create("pli", {"width": 16, "batch": 4, "epochs": 3})
    assert isinstance(passes, PLI)
    assert [passes._steps(rows, 100) for rows in (100, 50, 2)] == [75, 39, 3]


@pytest.mark.parametrize("name", ["pli", "tbi", "ridge", "gradients"])
class TestAbsentClients:
    settings: ClassVar = {"pli": {"width": 16, "batch": 4, "steps": 3}, "gradients": {"steps": 2}}

    def attack(self, name: str) -> Attack:
        return create(name, self.settings.get("pli" if name == "tbi" else name, {}))

    def test_a_client_that_never_answered_is_not_chosen(self, name: str) -> None:
        for _, result in self.attack(name).replay(Gaps({(1, 1), (1, 2)})):
            assert not (result.chosen == 1).any()
            assert result.scores[1].isinf().all()
            assert result.scores[[0, 2]].isfinite().all()
            assert result.images.isfinite().all()

    def test_the_others_are_compared_as_if_it_were_not_there(self, name: str) -> None:
        view = Gaps({(2, 1), (2, 2)})
        *_, (_, gaps) = self.attack(name).replay(view)
        two = MemoryView()
        two.clients = 2
        *_, (_, alone) = self.attack(name).replay(two)
        if name != "ridge":  # which tunes on all clients alike
            assert torch.equal(gaps.images[:2], alone.images)
            assert torch.equal(gaps.scores[:2], alone.scores)
        assert (gaps.chosen < 2).all()

    def test_a_client_that_comes_back_counts(self, name: str) -> None:
        view = Gaps({(0, 1)})
        first, second = (result for _, result in self.attack(name).replay(view))
        assert first.scores[0].isinf().all()
        assert second.scores.isfinite().all()

    def test_nobody_at_all(self, name: str) -> None:
        view = Gaps({(k, t) for k in range(3) for t in (1, 2)})
        for _, result in self.attack(name).replay(view):
            assert result.images.isfinite().all()


class Gaps(MemoryView):
    """Some clients are absent in some rounds."""

    def __init__(self, absent: set[tuple[int, int]]) -> None:
        super().__init__()
        self.absent = absent

    def client_logits(self, client: int, round: int) -> tuple[Tensor, Tensor]:
        if (client, round) in self.absent:
            return torch.empty(0, dtype=torch.int64), torch.empty(0, 7)
        return super().client_logits(client, round)

    def client_gradients(self, client: int, round: int) -> Mapping[str, Tensor]:
        return {} if (client, round) in self.absent else super().client_gradients(client, round)


def test_ridge_keeps_the_newest_pair_of_who_is_absent() -> None:
    """Absent in round 2: what it sent in round 1 is still what is known of it, with the server's pair of round 1."""
    view = Gaps({(0, 2)})
    wanted = view.knowledge.public.rows("sensitive")
    rows, outputs = newest_outputs(view, 0, 2, "full", wanted)
    inputs = paired(outputs, 3.0)
    first_rows, first = public_inputs(view, 0, 1, 3.0, "full", wanted)
    assert torch.equal(rows, first_rows)
    assert torch.equal(inputs, first)
