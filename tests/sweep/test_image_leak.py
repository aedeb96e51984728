"""What attacks on images find under a defense: of twins by pairs, of decoys by groups, and of more worlds than two."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from logitleak.metrics.leak import compare, sides_of
from logitleak.sealed.game import Game
from logitleak.sweep.image_leak import image_leak, is_shown

N = 20


def played(success: torch.Tensor, ssim: torch.Tensor, coins: torch.Tensor, design: str) -> dict[str, Any]:
    """`leak` of a result, of one image of each target."""
    units = torch.arange(coins.shape[1])
    game = Game(design, units, torch.zeros_like(units), coins)
    found = compare(success, ssim, game)
    return {"chosen": found, "owner": None, "per_target": sides_of(success, ssim, game)}


def decoys(hit_in: int, hit_out: int, nearer: float = 0.1) -> dict[str, Any]:
    """Ten targets in and ten out, so many of which came back."""
    coins = torch.arange(N) < N // 2
    success = torch.cat([torch.arange(10) < hit_in, torch.arange(10) < hit_out])
    ssim = torch.arange(N) / 1000 + nearer * coins
    return played(success[None], ssim[None], coins[None], "decoys")


def worlds(count: int, leaks: bool) -> dict[str, Any]:
    """Twins in so many worlds, where targets come back in only, or nowhere."""
    half = torch.arange(N) < N // 2
    coins = torch.stack([half if world % 2 == 0 else ~half for world in range(count)])
    return played(coins & leaks, coins * 0.1 + 0.5, coins, "twins")


def test_decoys_are_two_groups() -> None:
    """Newcombe's example b: 56 of 70 against 48 of 80."""
    one, other = decoys(9, 1), decoys(8, 0)
    found = image_leak([one, other], "chosen")
    assert found is not None
    assert (found["value"], found["wins"], found["of"]) == (pytest.approx(0.8), None, None)
    assert 0.4 < found["low"] < 0.8 < found["high"] < 1
    assert found["p"] < 1e-5
    assert found["auc"] > 0.9
    assert is_shown(found, "success")
    assert is_shown(found, "wins")


def test_decoys_that_show_nothing() -> None:
    found = image_leak([decoys(3, 3, nearer=0.0)], "chosen")
    assert found is not None
    assert found["low"] < 0 < found["high"]
    assert not is_shown(found, "success")
    assert not is_shown(found, "wins")  # likeness is lower in


def test_more_than_two_worlds_keep_their_leak() -> None:
    alone = worlds(4, True)
    found = image_leak([alone], "chosen")
    assert found is not None
    assert {key: found[key] for key in ("low", "high", "p")} == {
        key: alone["chosen"]["leak"][key] for key in ("low", "high", "p")
    }
    assert is_shown(found, "success")
    both = image_leak([alone, worlds(4, False)], "chosen")
    assert both is not None
    assert both["value"] == 0.5
    assert both["p"] == pytest.approx(2 * alone["chosen"]["leak"]["p"])


def test_pairs_are_pooled() -> None:
    found = image_leak([worlds(2, True), worlds(2, False)], "chosen")
    assert found is not None
    assert (found["value"], found["wins"], found["of"]) == (0.5, 2 * N, 2 * N)
    assert found["auc"] is None


def test_where_everything_ties_nothing_is_shown() -> None:
    """A defense under which uploads are the same in all worlds: images tie, and no share of wins is a number."""
    half = torch.arange(N) < N // 2
    coins = torch.stack([half, ~half])
    same = played(torch.ones_like(coins), torch.full(coins.shape, 0.5), coins, "twins")
    found = image_leak([same, same], "chosen")
    assert found is not None
    assert (found["value"], found["wins"], found["of"], found["wins_p"]) == (0.0, 0, 0, 1.0)
    assert not is_shown(found, "success")
    assert not is_shown(found, "wins")


def test_without_a_game_there_is_no_leak() -> None:
    assert image_leak([None], "chosen") is None
    assert image_leak([worlds(2, True), None], "chosen") is None
    assert image_leak([], "chosen") is None


def test_the_image_of_the_client_that_a_coin_is_about_counts() -> None:
    """The chosen one is another client's, who knows the person well; the asked client's shows what its images did."""
    quiet, loud = worlds(2, False), worlds(2, True)
    found = image_leak([quiet | {"owner": loud["chosen"]}], "owner")
    assert found is not None
    assert found["value"] == 1
    nobody = image_leak([quiet], "owner")  # behind a sum there is one image alone
    assert nobody is not None
    assert nobody["value"] == 0
