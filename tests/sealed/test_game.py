"""Who is in: balanced halves, independent coins, and what cannot be played."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from logitleak.errors import UserError
from logitleak.sealed.files import read_game, write_game
from logitleak.sealed.game import Game, decoys, recorded, twins

Sizes = st.lists(st.integers(2, 9), min_size=1, max_size=6)


def dealt(sizes: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels with gaps between them, and how many of them each client has."""
    strata = torch.tensor([client for client, size in enumerate(sizes) for _ in range(size)])
    return torch.arange(len(strata)) * 3 + 1, strata[torch.randperm(len(strata))]


@given(sizes=Sizes, pairs=st.integers(1, 3), seed=st.integers(0, 50))
def test_twins_are_halves_of_every_client(sizes: list[int], pairs: int, seed: int) -> None:
    units, strata = dealt(sizes)
    game = twins(units, strata, 2 * pairs, seed)
    assert game.paired
    assert game.coins.sum(0).tolist() == [pairs] * len(units)  # each unit is in in half of the worlds
    assert torch.equal(game.coins[0::2], ~game.coins[1::2])
    for client, size in enumerate(sizes):
        inside = game.coins[:, strata == client].sum(1)
        assert set(inside.tolist()) <= {size // 2, -(-size // 2)}
    assert int((game.coins[0].sum() - game.coins[1].sum()).abs()) <= 1  # odd clients take turns


def test_twins_follow_the_seed_alone() -> None:
    units, strata = dealt([4, 5])
    first = twins(units, strata, 2, seed=0).coins
    assert torch.equal(first, twins(units, strata, 2, seed=0).coins)
    assert any(not torch.equal(first, twins(units, strata, 2, seed=seed).coins) for seed in range(1, 5))


def test_a_client_with_one_target_cannot_be_halved() -> None:
    with pytest.raises(UserError, match="Client 1 holds one target only.*data.targets"):
        twins(torch.arange(3), torch.tensor([0, 0, 1]), 2, seed=0)


@pytest.mark.parametrize("worlds", [0, 1, 3])
def test_worlds_come_in_pairs(worlds: int) -> None:
    with pytest.raises(UserError, match="game.worlds"):
        twins(torch.arange(4), torch.zeros(4, dtype=torch.int64), worlds, seed=0)


def test_decoys_are_independent_coins() -> None:
    units, strata = torch.arange(4000), torch.zeros(4000, dtype=torch.int64)
    game = decoys(units, strata, 0.3, seed=0)
    assert not game.paired
    withheld = len(game.withheld(0))
    assert abs(withheld - 1200) < 3.3 * (4000 * 0.3 * 0.7) ** 0.5  # one failure in a thousand seeds


def test_decoys_that_leave_nothing_to_compare() -> None:
    alone = torch.tensor([4]), torch.tensor([0])
    for seed in range(5):  # one person is in or out, and there is nobody to compare with
        with pytest.raises(UserError, match="game.share"):
            decoys(*alone, 0.5, seed)


def test_decoys_that_empty_a_client() -> None:
    with pytest.raises(UserError, match="everybody at client"):
        decoys(torch.arange(12), torch.arange(12), 0.5, seed=0)  # somebody is out, and is a whole client


def test_withheld_people_and_everybody_else() -> None:
    game = Game("decoys", torch.tensor([2, 5]), torch.tensor([0, 1]), torch.tensor([[True, False]]))
    assert game.withheld(0).tolist() == [5]
    labels = torch.tensor([2, 5, 5, 7, 2])  # 7 is no unit: it always takes part
    assert game.known(labels, 0).tolist() == [True, False, False, True, True]


def test_a_recorded_game() -> None:
    game = recorded([4, 1], [3], owners={4: 1, 3: 0})
    assert game.units.tolist() == [1, 3, 4]
    assert game.strata.tolist() == [-1, 0, 1]
    assert game.coins.tolist() == [[True, False, True]]


def test_round_trip(tmp_path: Path) -> None:
    assert read_game(tmp_path) is None
    game = twins(*dealt([3, 4]), 4, seed=1)
    write_game(tmp_path, game)
    again = read_game(tmp_path)
    assert again is not None
    for field in dataclasses.fields(game):
        ours, theirs = getattr(game, field.name), getattr(again, field.name)
        assert torch.equal(ours, theirs) if isinstance(ours, torch.Tensor) else ours == theirs


@pytest.mark.parametrize(
    "text", ["{}", '{"design": "duel", "unit": "person", "units": [], "strata": [], "coins": []}', "[1]"]
)
def test_a_damaged_game(tmp_path: Path, text: str) -> None:
    (tmp_path / "game.json").write_text(text)
    with pytest.raises(UserError, match="game.json is damaged"):
        read_game(tmp_path)
