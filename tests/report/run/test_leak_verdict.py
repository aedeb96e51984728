"""The verdict of a game: the leak of the attack that was named first, its grades and its words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fabricate import share
from fabricate_game import comparison

from logitleak.report.parts.load import Attack, Run
from logitleak.report.parts.words import Verdict, p_value
from logitleak.report.run.verdict import judge

NO_SIGN = {"wins": None, "ssim": {"low": -0.1}}


def leak(chosen: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    return {"chosen": chosen, "owner": None, "p_holm": None, "rounds": [], "per_target": []} | more


def verdict(leaks: dict[str, Any], game: dict[str, Any] | None = None, **data: Any) -> Verdict:
    attacks = [
        Attack(name, {"kind": "attack", "accuracy": share(15, 20), "leak": said})
        for name, said in leaks.items()
    ]
    played = {"design": "twins", "unit": "person", "worlds": 2, "units": 20, "in": [10, 10]}
    played |= {"primary": {"attack": "gap", "image": "chosen", "round": 5}} | (game or {})
    facts = {"synthetic": False, "chance": 0.0125} | data
    return judge(Run(Path(), {"data": facts, "game": played}, {}, attacks, None, None, [], []))


def test_clear_leak_with_interval_and_wins() -> None:
    found = verdict({"gap": leak(comparison(14, 1, 20, leak={"low": 0.38, "high": 0.81, "p": 0.0002}))})
    assert (found.grade, found.badge, found.best) == ("clear", "Clear leak", "gap")
    assert found.headline == (
        "The server rebuilt 14 of 20 people when their images were used, and 1 of the same 20 when they were not: "
        "a leak of 65 points (95% interval 38 to 81, p = 0.0002). The image rebuilt with the private images was the "
        "better likeness for 16 of 20 (p = 0.01)."
    )
    assert (
        "the image that the attack itself chooses among the clients’: both were named before the truth was opened"
        in found.details[1]
    )
    assert any("Here 1 was rebuilt both in and out" in point for point in found.means_not)


@pytest.mark.parametrize("change", [{"low": -0.01}, {"p": 0.05}, {"low": None}, {"p": None}])
def test_a_leak_is_clear_only_where_interval_and_test_agree(change: dict[str, Any]) -> None:
    base = {"low": 0.02, "high": 0.5, "p": 0.04}
    assert verdict({"gap": leak(comparison(9, 4, 20, leak=base, **NO_SIGN))}).grade == "clear"
    assert verdict({"gap": leak(comparison(9, 4, 20, leak=base | change, **NO_SIGN))}).grade == "quiet"


@pytest.mark.parametrize(
    ("p_holm", "said"),
    [
        (0.06, "its exact test, corrected for the number of attacks, does not (p = 0.06)"),
        (None, "its exact test is not corrected for the number of attacks"),
    ],
)
def test_a_picked_attack_is_held_to_the_corrected_test_in_words_too(p_holm: float | None, said: str) -> None:
    """The headline prints p = 0.03, which would have been enough for an attack that was named."""
    base = {"low": 0.02, "high": 0.5, "p": 0.03}
    unnamed = {"primary": {"attack": "gone", "image": "chosen", "round": 5}}
    found = verdict({"gap": leak(comparison(9, 4, 20, leak=base, **NO_SIGN), p_holm=p_holm)}, unnamed)
    assert found.grade == "quiet"
    assert "p = 0.03" in found.headline
    assert f"The interval lies above 0, but {said}" in found.details[0]
    named = verdict({"gap": leak(comparison(9, 4, 20, leak=base | {"p": 0.06}, **NO_SIGN))})
    assert "but its exact test does not, and" in named.details[0]


def test_a_bootstrap_has_no_p_and_its_interval_decides() -> None:
    change = {"p": None, "method": "bootstrap", "low": 0.1, "high": 0.6}
    found = verdict({"gap": leak(comparison(28, 4, 40, leak=change, table=None))}, {"worlds": 4})
    assert found.grade == "clear"
    assert "rebuilt its target in 28 of 40 tries, without them in 4 of 40" in found.headline
    change["low"] = -0.1
    found = verdict({"gap": leak(comparison(8, 4, 40, leak=change, table=None, **NO_SIGN))}, {"worlds": 4})
    assert found.grade == "quiet"


def test_wins_alone_make_it_likely() -> None:
    wins = share(18, 20) | {"ties": 1, "p": 0.0004}
    found = verdict({"gap": leak(comparison(3, 2, 20, wins=wins, ssim={"low": -0.1}))})
    assert (found.grade, found.badge) == ("likely", "Likely leak")
    assert "win more often than a fair coin would" in found.details[0]
    assert "better likeness for 18 of 20 (p = 0.0004)" in found.headline
    assert any("1 tie left out" in line for line in found.details)


def test_losses_are_no_wins() -> None:
    wins = share(2, 20) | {"ties": 0, "p": 0.0004}
    assert verdict({"gap": leak(comparison(3, 2, 20, wins=wins, ssim={"low": -0.1}))}).grade == "quiet"


def test_likeness_is_asked_once() -> None:
    found = verdict({"gap": leak(comparison(3, 2, 20, wins=None, ssim={"low": 0.01}))})
    assert found.grade == "quiet"  # a second sign would need a correction for two tests
    assert any("Mean likeness" in line for line in found.details)


def test_no_leak_shown_says_how_much_is_still_possible() -> None:
    found = verdict({"gap": leak(comparison(3, 2, 20, leak={"high": 0.27}, **NO_SIGN))})
    assert (found.grade, found.badge) == ("quiet", "No leak shown")
    assert "still allows a leak of up to 27 points" in found.details[0]
    assert "a difference of 5 points" in found.headline
    assert "a leak of" not in found.headline
    assert any("Not a proof of safety" in point for point in found.means_not)


def test_an_interval_below_zero_is_never_called_a_leak() -> None:
    wins = share(19, 20) | {"ties": 0, "p": 0.0001}
    found = verdict({"gap": leak(comparison(1, 14, 20, leak={"p": 0.0002}, wins=wins, ssim={"low": 0.1}))})
    assert found.grade == "quiet"
    assert "That is no leak" in found.details[0]
    assert "a difference of −65 points" in found.headline


def test_the_headline_stays_with_the_primary_and_others_are_corrected() -> None:
    found = verdict(
        {
            "gap": leak(comparison(3, 2, 20, **NO_SIGN)),
            "pli": leak(comparison(18, 1, 20), p_holm=0.001),
            "ridge": leak(comparison(12, 4, 20, leak={"low": 0.1, "p": 0.03}), p_holm=0.06),
        }
    )
    assert (found.grade, found.best) == ("quiet", "gap")
    line = next(line for line in found.details if "Holm" in line)
    assert line == (
        "Of the other attacks, after Holm’s correction, pli (p = 0.001) leaks too; ridge (p = 0.06) does not."
    )


def test_without_a_named_attack_the_corrected_test_decides() -> None:
    game = {"primary": None}
    strong = comparison(18, 1, 20)
    assert verdict({"pli": leak(strong, p_holm=0.001)}, game).grade == "clear"
    found = verdict({"pli": leak(strong, p_holm=0.2), "tbi": leak(comparison(2, 2, 20), p_holm=1.0)}, game)
    assert (found.grade, found.best) == ("likely", "pli")
    assert "No attack was named before the truth was opened" in found.details[1]
    gone = verdict({"pli": leak(strong, p_holm=0.001), "gap": None})
    assert "gap was named before the truth was opened, but it was not compared" in gone.details[1]


def test_where_likeness_decides_the_others_are_told_by_it() -> None:
    """Counts say nothing there: all three rebuilt as many in as out."""
    wins = {"ties": 0, "p": 0.0004}
    compared = {
        "gap": leak(comparison(3, 3, 20)),
        "pli": leak(comparison(3, 3, 20, wins=share(18, 20) | wins), p_holm=0.001),
        "ridge": leak(comparison(3, 3, 20, wins=share(2, 20) | wins), p_holm=0.001),
        "tbi": leak(comparison(18, 1, 20, wins=share(11, 20) | wins), p_holm=0.8),
    }
    found = verdict(compared, {"measure": "wins"})
    assert (found.grade, found.best) == ("quiet", "gap")
    line = next(line for line in found.details if "Holm" in line)
    assert "pli (p = 0.001) leaks too; ridge (p = 0.001) and tbi (p = 0.80) do not" in line
    compared["pli"]["p_holm"] = None
    line = next(
        line for line in verdict(compared, {"measure": "wins"}).details if line.startswith("Other attacks")
    )
    assert line == "Other attacks, not corrected for their number: pli 18 of 20 wins."
    compared["pli"]["p_holm"] = 0.001
    picked = verdict(compared, {"measure": "wins", "primary": None})
    assert (picked.grade, picked.best) == ("clear", "pli")
    assert "pli has the largest share of wins" in picked.details[1]


def test_groups_are_told_by_their_area_where_likeness_decides() -> None:
    groups = {"design": "decoys", "worlds": 1, "measure": "wins"}
    apart = comparison(3, 3, 10, paired=False, auc={"value": 0.9, "p": 0.001})
    below = comparison(3, 3, 10, paired=False, auc={"value": 0.1, "p": 0.001})
    found = verdict(
        {"gap": leak(below), "pli": leak(apart, p_holm=0.002), "tbi": leak(below, p_holm=0.002)}, groups
    )
    line = next(line for line in found.details if "Holm" in line)
    assert "pli (p = 0.002) leaks too; tbi (p = 0.002) does not" in line


def test_both_images_are_mentioned() -> None:
    found = verdict({"gap": leak(comparison(14, 1, 20), owner=comparison(12, 2, 20))})
    line = next(line for line in found.details if "uploads of the client that holds the target" in line)
    assert "12 of 20 in and 2 of 20 out: 50 points (95% interval" in line


def test_decoys_are_different_people_and_have_an_auc() -> None:
    found = verdict({"gap": leak(comparison(8, 1, 10, paired=False))}, {"design": "decoys", "worlds": 1})
    assert found.grade == "clear"
    assert (
        "8 of 10 people whose images were used, and 1 of 10 others whose images were withheld"
        in found.headline
    )
    assert "with an AUC of 0.85 (p = 0.01)" in found.headline
    assert any("different people: the comparison is unpaired" in line for line in found.details)


def test_recorded_games_do_not_know_of_a_coin() -> None:
    found = verdict({"gap": leak(comparison(8, 1, 10, paired=False))}, {"design": "recorded"})
    assert any("if it was no coin" in line for line in found.details)
    assert "the owner of the data said" in found.means[0]


def test_synthetic_people_are_not_called_people() -> None:
    found = verdict({"gap": leak(comparison(14, 1, 20))}, synthetic=True)
    assert "14 of 20 synthetic identities" in found.headline


@pytest.mark.parametrize(
    "said", [None, {}, leak(None), leak({}), leak({"in": None, "leak": {"value": None}})]
)
def test_a_game_without_a_comparison_falls_back_to_likeness(said: Any) -> None:
    found = verdict({"gap": said})
    assert found.grade == "likeness"
    assert any("its comparison is not in metrics.json" in line for line in found.details)


@pytest.mark.parametrize("key", ["leak", "table", "wins", "auc", "ssim", "in", "out"])
def test_any_part_of_a_comparison_may_be_null(key: str) -> None:
    assert verdict({"gap": leak(comparison(14, 1, 20) | {key: None})}).headline


def test_empty_wins_are_left_out() -> None:
    empty = {"value": None, "low": None, "high": None, "successes": 0, "trials": 0, "ties": 20, "p": None}
    assert "better likeness" not in verdict({"gap": leak(comparison(14, 1, 20, wins=empty))}).headline


def test_p_is_never_rounded_to_nothing() -> None:
    assert [p_value(p) for p in (1e-9, 0.00023, 0.004, 0.0449, 1.0)] == [
        "p < 0.0001",
        "p = 0.0002",
        "p = 0.004",
        "p = 0.04",
        "p = 1.00",
    ]
