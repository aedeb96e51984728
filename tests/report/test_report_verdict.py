"""The verdict's words follow from the numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fabricate import share

from logitleak.report.load import Attack, Run
from logitleak.report.verdict import Verdict, judge, percent


def verdict(
    hits: dict[str, int | None], rivals: dict[str, int] | None = None, trials: int = 20, **data: Any
) -> Verdict:
    attacks = [
        Attack(name, {"kind": "attack"} | ({} if count is None else {"accuracy": share(count, trials)}))
        for name, count in hits.items()
    ]
    attacks += [
        Attack(name, {"kind": "rival", "accuracy": share(count, trials)})
        for name, count in (rivals or {}).items()
    ]
    facts = {"synthetic": True, "chance": 0.0125, "clients": 3} | data
    return judge(Run(Path(), {"data": facts}, {}, attacks, None, None, [], []))


RIVALS = {"prior": 0, "public-mean": 0}


def test_most_targets() -> None:
    found = verdict({"pli": 17}, RIVALS)
    assert found.grade == "clear"
    assert found.headline == (
        "The server rebuilt 17 of 20 synthetic identities (85%, 95% interval 64 to 95%) from shared logits; "
        "returning the public average would have fooled the same test on 0 of 20."
    )


def test_all_targets() -> None:
    found = verdict({"pli": 20}, RIVALS)
    assert "rebuilt all 20 synthetic identities (100%, 95% interval 84 to 100%)" in found.headline


def test_no_target() -> None:
    found = verdict({"pli": 0, "ridge": 0}, RIVALS)
    assert found.grade == "quiet"
    assert "rebuilt none of 20" in found.headline
    assert "up to 16%" in found.details[0]
    assert any("Not a proof of safety" in point for point in found.means_not)


def test_rival_as_good_as_the_attack() -> None:
    found = verdict({"pli": 6}, {"prior": 5, "public-mean": 6})
    assert found.grade == "unclear"
    assert "cannot tell the attack from a guess" in found.details[0]
    assert "fooled the same test on 6 of 20" in found.headline


def test_overlapping_intervals() -> None:
    found = verdict({"pli": 6}, RIVALS)
    assert found.grade == "likely"
    assert "more targets would settle it" in found.details[0]


def test_below_chance_is_not_called_a_leak() -> None:
    assert verdict({"pli": 10}, RIVALS, chance=0.5).grade == "unclear"


def test_strongest_attack_speaks_and_the_choice_is_admitted() -> None:
    found = verdict({"pli": 3, "ridge": 9}, RIVALS)
    assert found.best == "ridge"
    assert any("not widened for that choice" in line for line in found.details)
    tied = verdict({"pli": 9, "ridge": 9}, RIVALS)
    assert any("tied with ridge" in line for line in tied.details)


def test_tie_goes_to_the_attack_and_its_words_follow_what_was_shared() -> None:
    attacks = [
        Attack("tbi", {"kind": "baseline", "accuracy": share(5, 20), "mean": {"ssim": 0.9}}),
        Attack("pli", {"kind": "attack", "accuracy": share(5, 20), "mean": {"ssim": 0.1}}),
    ]
    found = judge(Run(Path(), {}, {}, attacks, None, None, [], [], "class probabilities"))
    assert found.best == "pli"
    assert "from shared class probabilities" in found.headline


def test_without_attacks_or_truth() -> None:
    assert verdict({}).badge == "No attack"
    unjudged = verdict({"pli": None})
    assert unjudged.badge == "Not judged"
    assert "without the truth" in unjudged.headline
    assert unjudged.best is None


@pytest.mark.parametrize(
    ("synthetic", "words"), [(True, "synthetic"), (False, "real data"), (None, "does not say")]
)
def test_nature_of_the_data_is_stated(synthetic: bool | None, words: str) -> None:
    assert words in verdict({"pli": 5}, RIVALS, synthetic=synthetic).details[-1]


def test_percent_never_rounds_to_the_ends() -> None:
    assert [percent(value) for value in (0, 0.004, 0.05, 0.85, 0.996, 1)] == [
        "0%",
        "0.4%",
        "5%",
        "85%",
        "99.6%",
        "100%",
    ]
