"""The judge of audits: members against others by the coins, clients against clients, shares, and bounds or why none."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from logitleak.metrics.detection import area
from logitleak.metrics.exposure import among_clients, detectable, distances, no_epsilon, of_epsilon, of_game
from logitleak.sealed.game import Game, recorded


def game_of(coins: list[list[bool]], design: str = "twins", share: float | None = None) -> Game:
    units = torch.arange(len(coins[0]))
    return Game(design, units, torch.zeros_like(units), torch.tensor(coins), share=share)  # type: ignore[arg-type]


def test_twins_are_compared_by_target_and_by_score() -> None:
    coins = [[True, True, False, False], [False, False, True, True]]
    scores = torch.tensor([[3.0, 1.0, 0.0, 2.0], [1.0, 2.0, 4.0, 2.0]]).double()
    found = of_game(scores, game_of(coins), torch.tensor([5, 6, 7, 8]))
    assert found is not None
    assert found["area"]["value"] == area([3, 1, 4, 2], [0, 2, 1, 2])["value"]
    assert (found["pairs"]["successes"], found["pairs"]["trials"], found["pairs"]["ties"]) == (2, 3, 1)
    assert found["per_unit"][0] == {"place": 5, "in": 3.0, "out": 1.0}


def test_who_was_not_heard_of_is_left_out() -> None:
    coins = [[True, True, False], [False, False, True]]
    nan = float("nan")
    scores = torch.tensor([[3.0, nan, 0.0], [1.0, 2.0, nan]]).double()
    found = of_game(scores, game_of(coins), torch.arange(3))
    assert found is not None
    assert (found["area"]["positives"], found["area"]["negatives"]) == (1, 3)
    assert found["per_unit"][1] == {"place": 1, "in": None, "out": 2.0}
    assert of_game(torch.full((2, 3), nan).double(), game_of(coins), torch.arange(3)) is None


def test_one_world_has_no_pairs() -> None:
    found = of_game(torch.tensor([[2.0, 1.0]]).double(), game_of([[True, False]], "decoys"), torch.arange(2))
    assert found is not None
    assert found["pairs"] is None
    assert found["area"]["value"] == 1


def test_coins_that_say_nothing_give_one_half() -> None:
    """Scores that are the same in both worlds, as of an attacker who ignores uploads: all ties."""
    coins = torch.rand(30, generator=torch.Generator().manual_seed(0)) < 0.5
    scores = torch.randn(30, generator=torch.Generator().manual_seed(1)).double().expand(2, 30)
    found = of_game(scores, game_of([coins.tolist(), (~coins).tolist()]), torch.arange(30))
    assert found is not None
    assert found["area"]["value"] == 0.5
    assert found["pairs"]["value"] is None
    assert found["pairs"]["p"] == 1


def test_clients_that_hold_against_those_that_do_not() -> None:
    holds = torch.zeros(1, 3, 4, dtype=torch.bool)
    holds[0, [0, 1, 2, 0], [0, 1, 2, 3]] = True
    taking_part = torch.tensor([[True, True, True, False]])
    scores = torch.tensor([[[5.0, 0, 1, 9], [0, 4, 1, 9], [0, 5, 1, 9]]]).double()
    found = among_clients(scores, holds, taking_part)
    assert found is not None
    members, others = [5.0, 4, 1], [0.0, 1, 0, 1, 0, 5]
    assert found["area"]["value"] == pytest.approx(area(members, others)["value"])
    assert (found["named"]["successes"], found["named"]["trials"]) == (1, 3)  # a tie names nobody
    assert among_clients(scores[:, :1], holds[:, :1], taking_part[:, :]) is not None
    assert among_clients(scores, torch.ones_like(holds), taking_part) is None


def test_a_bound_needs_independent_fair_coins() -> None:
    scores = torch.arange(40.0).double()[None]
    coins = [(torch.arange(40) >= 20).tolist()]
    assert "no game" in str(no_epsilon(None))
    for game, said in (
        (game_of([*coins, [not c for c in coins[0]]]), "balanced"),
        (game_of(coins, "decoys", 0.3), "fair coins"),
        (recorded([1, 2], [3], {}), "nobody said"),
    ):
        assert said in of_epsilon(scores, game)["none"]
    found = of_epsilon(scores, game_of(coins, "decoys", 0.5))
    assert (found["coins"], found["guesses"], found["right"]) == (40, 20, 20)
    assert found["bound"] == found["ceiling"] > 1.5
    assert found["gaussian"] > 0
    assert (found["unit"], found["delta"], found["none"]) == ("person", 1e-5, None)
    blind = of_epsilon(
        torch.zeros(1, 40).double(), game_of([[i % 2 == 0 for i in range(40)]], "canaries", 0.5)
    )
    assert blind["bound"] == 0


def test_the_power_is_the_chance_that_a_leak_is_shown() -> None:
    """Of normal scores with an area of just what is detectable, about 80 % show it."""
    n = 40
    least = detectable(n, n)
    shift = 2**0.5 * float(torch.special.ndtri(torch.tensor(least, dtype=torch.float64)))
    rng = np.random.default_rng(0)
    shown = [
        area(rng.normal(shift, 1, n).tolist(), rng.normal(0, 1, n).tolist())["low"] > 0.5 for _ in range(400)
    ]
    assert 0.7 < np.mean(shown) < 0.9
    assert detectable(10, 10) > detectable(40, 40) > detectable(1000, 1000) > 0.5
    assert detectable(1, 1) == 1.0


def test_distances_of_shares() -> None:
    p, q = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.25, 0.25, 0.5])
    found = distances(p, q)
    assert found["total_variation"] == pytest.approx(0.5)
    assert found["largest"] == pytest.approx(0.5)
    kl = sum(b * math.log(b / a) for a, b in ((0.5, 0.25), (0.5, 0.25), (1e-6, 0.5)))
    assert found["kl"] == pytest.approx(kl, rel=1e-3)
    assert distances(p, p) == {"total_variation": 0.0, "largest": 0.0, "kl": 0.0}


def test_there_is_no_bound_where_nothing_was_heard() -> None:
    game = game_of([[i % 2 == 0 for i in range(8)]], "decoys", 0.5)
    assert of_epsilon(torch.full((1, 8), torch.nan).double(), game) == {
        "none": "nothing was heard of the units of this game."
    }
