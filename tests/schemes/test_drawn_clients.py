"""Schemes where some clients are drawn for each round, against a literal loop and by what each client then has."""

from __future__ import annotations

import itertools
from functools import partial

import pytest
import torch
from three_clients import Person, simulate, world
from torch import Tensor

from logitleak import registry
from logitleak.federation.draws import participants, planned
from logitleak.files import low_rank
from logitleak.formats.federation import NOT_DRAWN
from logitleak.schemes.base import Scheme
from logitleak.schemes.fedavg import FedAvg, FedAvgSettings
from logitleak.schemes.fedmd import FedMD, FedMDSettings
from logitleak.types import Event
from quick_schemes import quick

LAST = 4


def made(name: str) -> Scheme:
    scheme_class = registry.load("scheme", name)
    scheme: Scheme = scheme_class(scheme_class.Settings(**quick(name)))
    return scheme


def here(events: list[Event], round: int, action: str) -> list[int]:
    (event,) = (e for e in events if (e.round, e.action) == (round, action))
    assert set(event.absent.values()) <= {NOT_DRAWN}
    assert sorted({*event.received, *event.absent}) == [0, 1, 2]
    return sorted(event.received)


def distance(consensus: Tensor, out: Tensor, rows: Tensor) -> Tensor:
    return (out - consensus[rows]).abs().mean()


@pytest.mark.parametrize("drawn", [1, 2])
@pytest.mark.parametrize("models", [["cnn"], ["cnn", "mlp"]])
def test_fedmd_equals_a_loop_over_those_who_are_there(models: list[str], drawn: int) -> None:
    """Who is away keeps its model, and goes on from it; a consensus that it missed never reaches it."""
    s = FedMDSettings(transfer_public=2, transfer_private=2, digest=2, revisit=2, server=2)
    events, own = simulate(FedMD(s), 3, models, drawn, rounds=LAST)
    public, data = world(3)
    x, y = public.images, public.labelled().labels
    people, server = [Person(models[k % len(models)], k) for k in range(3)], Person("cnn", "server")
    for person, mine in zip(people, data, strict=True):
        person.learn_labels(x, y, 2, "transfer-public", 0)
        person.learn_labels(mine.images, mine.labels, 2, "transfer-private", 0)
    assert here(events, 0, "transfer") == [0, 1, 2]
    close = partial(torch.testing.assert_close, rtol=1e-8, atol=1e-8)
    away = 0
    for t in range(1, LAST + 1):
        present = here(events, t, "upload")
        assert here(events, t, "digest") == here(events, t, "revisit") == present
        assert len(present) == drawn
        away += 3 - len(present)
        said = {k: people[k].logits(x) for k in present}
        consensus = torch.stack(list(said.values())).sum(0) / drawn
        uploads = next(e for e in events if (e.round, e.action) == (t, "upload")).received
        for k in present:
            close(uploads[k].tensors["logits"], said[k])
            people[k].learn(x, partial(distance, consensus), 2, "digest", t)
            people[k].learn_labels(data[k].images, data[k].labels, 2, "revisit", t)
        server.learn_labels(x, y, 2, "server", t)
        close(own[t - 1], server.logits(x))
    assert away == LAST * (3 - drawn)


@pytest.mark.parametrize("name", registry.names("scheme"))
def test_stacked_models_learn_the_same(name: str) -> None:
    """Also where their optimizers have made unlike numbers of steps, so that they cannot be stacked."""
    one, other = (
        simulate(made(name), 3, ["mlp"] if name == "fedmd" else ["cnn"], 2, stacked)
        for stacked in (False, True)
    )
    for plain, stacked in zip(one[0], other[0], strict=True):
        assert plain.absent == stacked.absent
        for k in plain.received:
            for key, value in plain.received[k].tensors.items():
                torch.testing.assert_close(stacked.received[k].tensors[key], value, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", registry.names("scheme"))
def test_nobody_else_is_asked(name: str) -> None:
    """Every exchange of a round is with the same clients, and all are drawn at some time."""
    events, _ = simulate(made(name), 3, ["cnn"], 2, rounds=LAST)
    seen = set()
    for t in range(1, LAST + 1):
        who = {tuple(sorted(e.received)) for e in events if e.round == t}
        assert len(who) == 1
        seen |= {*who.pop()}
    assert seen == {0, 1, 2}


def test_fedavg_begins_with_the_mean_of_those_who_were_drawn() -> None:
    """Also at a client that was away when it was made."""
    events, _ = simulate(FedAvg(FedAvgSettings()), 3, ["cnn"], 2, rounds=LAST)
    for before, after in itertools.pairwise(events):
        total = sum(int(one.scalars["images"]) for one in before.received.values())
        for key, value in after.sent.tensors.items():
            parts = [one.tensors[key] * one.scalars["images"] / total for one in before.received.values()]
            torch.testing.assert_close(value, torch.stack(parts).sum(0), rtol=1e-10, atol=1e-12)


def test_fedkd_sends_the_mentee_to_who_missed_a_step() -> None:
    """What a round begins with is the last mentee, stepped along the mean that some have missed."""
    events, _ = simulate(made("fedkd"), 3, ["cnn"], 2, rounds=LAST)
    rounds = [next(e for e in events if (e.round, e.action) == (t, "train")) for t in range(1, LAST + 1)]
    updates = [next(e for e in events if (e.round, e.action) == (t, "update")) for t in range(1, LAST + 1)]
    for before, update, after in zip(rounds, updates, rounds[1:], strict=False):
        mean = low_rank.unpack({k.removeprefix("model/"): v for k, v in update.sent.tensors.items()})
        for key, value in before.sent.tensors.items():
            expected = value - before.sent.scalars["lr"] * mean[key.removeprefix("model/")]
            torch.testing.assert_close(after.sent.tensors[key], expected, rtol=1e-10, atol=1e-12)
        assert len(after.sent.tensors) == len(mean)


def test_draws() -> None:
    """Everybody before round 1; then so many, as often as anybody else, by the seed and the round alone."""
    assert list(participants(0, 5, 2, 7)) == [0, 1, 2, 3, 4]
    drawn = [list(participants(t, 5, 2, 7)) for t in range(1, 2001)]
    assert all(len(one) == 2 and one == sorted(set(one)) for one in drawn)
    assert drawn[9] == list(participants(10, 5, 2, 7))
    assert drawn != [list(participants(t, 5, 2, 8)) for t in range(1, 2001)]
    counts = torch.bincount(torch.tensor(drawn).flatten())
    assert bool(((counts - 800).abs() < 90).all())  # 4 standard deviations


@pytest.mark.parametrize("drawn", [1, 2, 3])
@pytest.mark.parametrize("name", registry.names("scheme"))
def test_plans_are_between_those_of_fewer_and_more(name: str, drawn: int) -> None:
    scheme = made(name)
    found, most = planned(scheme, 3, LAST, drawn), scheme.planned_epochs(3, LAST)
    assert found.total <= most.total
    assert (found == most) == (drawn == 3)
    if drawn == 2:
        begun = [scheme.planned_epochs(k, 0).private for k in (2, 3)]
        assert found.private == scheme.planned_epochs(2, LAST).private + begun[1] - begun[0]
