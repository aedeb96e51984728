"""What `Attack.replay` owns: silent clients, rubbish, and whether what comes out is images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from memory import MemoryView
from torch import Tensor

from logitleak import registry
from logitleak.attacks.base import Attack, AttackSettings, create
from logitleak.attacks.views import ViewOf
from logitleak.errors import UserError
from logitleak.priors.base import PriorSettings
from logitleak.priors.mean import MeanPrior
from logitleak.types import ServerView

Answer = Callable[[int], Tensor | None]
"""From a client to what is rebuilt of it."""


class Told(Attack):
    """Gives back what a test tells it to."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(AttackSettings(), MeanPrior(PriorSettings(), 0), 0)
        self.answer = answer

    def observe(self, view: ServerView, round: int) -> None:
        return None

    def reconstruct_client(self, view: ServerView, client: int) -> Tensor | None:
        return self.answer(client)


def noise(client: int) -> Tensor:
    return torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(client))


def public_mean(view: MemoryView) -> Tensor:
    public = view.knowledge.public
    return public.images[public.sensitive].double().mean(0).div(255).float()


class Silent(ViewOf):
    """A federation in which one client answers from some round on only."""

    def __init__(self, view: ServerView, client: int, until: int) -> None:
        super().__init__(view)
        self.client, self.until = client, until

    def client_logits(self, client: int, round: int) -> tuple[Tensor, Tensor]:
        rows, values = self.inner.client_logits(client, round)
        return (rows[:0], values[:0]) if client == self.client and round < self.until else (rows, values)


ON_OUTPUTS = [n for n in registry.names("attack") if "gradients" not in registry.load("attack", n).needs]


@pytest.mark.parametrize("name", ON_OUTPUTS)
def test_who_has_said_nothing_is_not_chosen_until_it_speaks(name: str) -> None:
    small = {"width": 16, "batch": 4, "steps": 3} if name in ("pli", "tbi") else {}
    attack = create(name, small)
    (_, first), (_, second) = attack.replay(Silent(MemoryView(), client=1, until=2))
    torch.testing.assert_close(first.images[1], public_mean(MemoryView()).expand(2, 3, 16, 16))
    assert 1 not in first.chosen.tolist()
    assert not torch.allclose(second.images[1], first.images[1])
    assert {"round": 1, "client": 1} in attack.trace.choices["rounds without rows"]
    assert attack.unheard == set()


@pytest.mark.parametrize(("name", "settings"), [("gradients", {"steps": 2}), ("gap", {"choice": "column"})])
@pytest.mark.parametrize("broken", [0, 1])
def test_attacks_that_choose_by_themselves_choose_nobody_unheard(
    name: str, settings: dict[str, Any], broken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Client 0 has label 2 and client 1 label 5; what comes back of one of them is no image."""
    attack = create(name, settings)
    rebuild = attack.reconstruct_client

    def rebuilt(view: ServerView, client: int) -> Tensor | None:
        found = rebuild(view, client)
        return found * torch.nan if found is not None and client == broken else found

    monkeypatch.setattr(attack, "reconstruct_client", rebuilt)
    result = attack.last(MemoryView())
    assert attack.unheard == {broken}
    assert broken not in result.chosen.tolist()
    assert bool((result.scores[broken] == torch.inf).all())


def test_numbers_that_are_not_finite_silence_one_client_only() -> None:
    view, attack = MemoryView(), Told(lambda k: noise(k) / (0.0 if k == 0 else 1.0))
    result = attack.last(view)
    assert result.images.isfinite().all()
    torch.testing.assert_close(result.images[0, 0], public_mean(view))
    assert torch.equal(result.images[1], noise(1))
    assert 0 not in result.chosen.tolist()
    assert attack.trace.choices["not finite"] == [{"round": t, "client": 0} for t in (1, 2)]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda k: noise(k)[0], r"gives \(3, 16, 16\) and not images of shape \(2, 3, 16, 16\)"),
        (lambda k: noise(k).double(), "gives numbers of type float64 and not float32"),
        (lambda k: noise(k) + 0.5, r"gives pixels outside \[0, 1\]"),
        (lambda k: [1.0], r"gives list and not images of shape \(2, 3, 16, 16\)"),
    ],
)
def test_what_is_no_image_is_refused(answer: Answer, said: str) -> None:
    with pytest.raises(UserError, match=f"The attack Told {said} in round 1 for client 0"):
        Told(answer).last(MemoryView())
