"""In against out, by hand."""

from __future__ import annotations

import pytest
import torch

from logitleak.metrics import paired
from logitleak.metrics.leak import compare, sides_of
from logitleak.metrics.proportion import wilson
from logitleak.sealed.game import Game


def game(coins: list[list[bool]], design: str = "twins") -> Game:
    units = torch.arange(len(coins[0]))
    return Game(design, units, torch.zeros_like(units), torch.tensor(coins))  # type: ignore[arg-type]


TWINS = game([[True, True, False, False], [False, False, True, True]])


def test_twins() -> None:
    # in: targets 0, 1 from world 0 and 2, 3 from world 1
    success = torch.tensor([[True, False, False, True], [False, False, True, True]])
    ssim = torch.tensor([[0.9, 0.5, 0.2, 0.7], [0.4, 0.5, 0.8, 0.6]])
    found = compare(success, ssim, TWINS)
    assert (found["in"]["successes"], found["out"]["successes"]) == (3, 1)
    assert found["table"] == {"both": 1, "only_in": 2, "only_out": 0, "neither": 1}
    assert found["leak"]["value"] == 0.5
    assert found["leak"]["p"] == pytest.approx(0.5)
    wins = found["wins"]  # 0.9 > 0.4, a tie, 0.8 > 0.2, 0.6 < 0.7
    assert (wins["successes"], wins["trials"], wins["ties"]) == (2, 3, 1)
    assert found["ssim"]["in"] == pytest.approx((0.9 + 0.5 + 0.8 + 0.6) / 4)
    assert found["ssim"]["difference"] == pytest.approx((0.5 + 0 + 0.6 - 0.1) / 4)
    assert found["auc"] is None
    rows = sides_of(success, ssim, TWINS)
    assert rows[3] == {"in": {"success": 1.0, "ssim": 0.6}, "out": {"success": 1.0, "ssim": 0.7}}


def test_an_attack_that_ignores_uploads_ties_everywhere() -> None:
    same = torch.tensor([0.3, 0.9, 0.1, 0.6]).expand(2, 4)
    found = compare(same > 0.5, same, TWINS)
    assert found["leak"]["value"] == 0
    assert found["leak"]["low"] < 0 < found["leak"]["high"]
    assert found["leak"]["p"] == 1.0
    assert found["wins"] == {
        "value": None, "low": None, "high": None, "successes": 0, "trials": 0, "ties": 4, "p": 1.0,
    }  # fmt: skip
    assert found["ssim"]["difference"] == 0


def test_swapped_coins_swap_the_sign() -> None:
    generator = torch.Generator().manual_seed(0)
    ssim = torch.rand(2, 4, generator=generator)
    swapped = Game("twins", TWINS.units, TWINS.strata, ~TWINS.coins)
    a, b = compare(ssim > 0.5, ssim, TWINS), compare(ssim > 0.5, ssim, swapped)
    assert a["leak"]["value"] == -b["leak"]["value"]
    assert a["leak"]["low"] == pytest.approx(-b["leak"]["high"])
    assert a["ssim"]["difference"] == pytest.approx(-b["ssim"]["difference"])


def test_four_worlds_average_each_target_first() -> None:
    four = game([[True, False], [False, True], [True, True], [False, False]])
    success = torch.tensor([[True, True], [False, True], [False, True], [False, False]])
    found = compare(success, success.float(), four)
    assert found["leak"]["method"] == "bootstrap"
    assert found["leak"]["value"] == pytest.approx(((0.5 - 0.0) + (1.0 - 0.5)) / 2)
    # pair 1: target 0 in only, target 1 in both; pair 2: target 1 in only
    assert found["leak"]["p"] == pytest.approx(0.5)
    assert found["table"] is None
    assert found["in"]["trials"] == found["out"]["trials"] == 4
    # four tries, but of two targets: the interval is that of two
    assert (found["out"]["low"], found["out"]["high"]) == pytest.approx(wilson(0.5, 2), abs=1e-6)


def test_four_worlds_without_a_difference_still_have_an_interval() -> None:
    four = game([[True, False], [False, True], [True, True], [False, False]])
    found = compare(torch.zeros(4, 2, dtype=torch.bool), torch.rand(4, 2), four)
    assert found["leak"]["low"] < 0 < found["leak"]["high"]
    assert found["leak"]["p"] == 1.0


def test_one_federation_compares_two_groups() -> None:
    decoys = game([[True, True, True, False, False]], "decoys")
    success = torch.tensor([[True, True, False, False, False]])
    ssim = torch.tensor([[0.9, 0.8, 0.5, 0.4, 0.3]])
    found = compare(success, ssim, decoys)
    expected = paired.independent_leak([True, True, False], [False, False])
    assert found["leak"]["value"] == pytest.approx(expected["value"], rel=1e-5)
    assert found["leak"]["low"] == pytest.approx(expected["low"], rel=1e-5)
    assert found["auc"]["value"] == 1.0
    assert found["wins"] is None
    rows = sides_of(success, ssim, decoys)
    assert rows[0]["out"] is None
    assert rows[4]["in"] is None
