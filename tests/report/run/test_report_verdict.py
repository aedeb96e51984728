"""The verdict of a run without a game: likeness, held against what could explain it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fabricate import share
from fabricate_game import null

from logitleak.report.parts.load import Attack, Run
from logitleak.report.parts.words import Verdict, percent
from logitleak.report.run.verdict import judge


def verdict(
    hits: dict[str, int | None],
    rivals: dict[str, int] | None = None,
    trials: int = 20,
    nulls: dict[str, dict[str, int]] | None = None,
    **data: Any,
) -> Verdict:
    attacks = [
        Attack(
            name,
            {"kind": "attack"}
            | ({} if count is None else {"accuracy": share(count, trials)})
            | {"nulls": [null(kind, n, trials) for kind, n in (nulls or {}).get(name, {}).items()]},
        )
        for name, count in hits.items()
    ]
    attacks += [
        Attack(name, {"kind": "rival", "accuracy": share(count, trials)})
        for name, count in (rivals or {}).items()
    ]
    facts = {"synthetic": True, "chance": 0.0125, "clients": 3} | data
    return judge(Run(Path(), {"data": facts}, {}, attacks, None, None, [], []))


RIVALS = {"prior": 0, "public-mean": 0}


def test_likeness_alone_is_never_called_a_leak() -> None:
    for hits in (5, 17, 20):
        found = verdict({"pli": hits}, RIVALS)
        assert (found.grade, found.badge) == ("likeness", "Likeness only")
        assert "leak" not in found.headline
        assert any("--twins" in line for line in found.details)
    assert verdict({"pli": 17}, RIVALS).headline == (
        "From shared logits the server made images that are most like the right person for 17 of 20 synthetic "
        "identities (85%, 95% interval 64 to 95%); nobody can tell from this run how much of that likeness is the "
        "private images’."
    )


def test_all_targets() -> None:
    found = verdict({"pli": 20}, RIVALS)
    assert "for all 20 synthetic identities (100%, 95% interval 84 to 100%)" in found.headline


def test_nulls_far_below_make_a_leak_likely_and_never_clear() -> None:
    found = verdict({"pli": 20}, RIVALS, nulls={"pli": {"non-owners": 1, "own-model": 0}})
    assert (found.grade, found.badge) == ("likely", "Likely leak")
    assert "Only a game can measure it" in found.details[0]
    assert (
        "1 of 20 on uploads of clients that do not hold the target (95% interval 1 to 24%)"
        in found.details[1]
    )


def test_nulls_below_with_overlapping_intervals_leave_it_open() -> None:
    found = verdict({"pli": 11}, RIVALS, nulls={"pli": {"non-owners": 6}})
    assert found.grade == "likeness"
    assert "nobody can tell how much of the likeness is the private images’" in found.details[0]


@pytest.mark.parametrize("score", [17, 18])
def test_a_null_that_does_as_well_says_anybody_could_have_guessed(score: int) -> None:
    found = verdict({"pli": 17}, RIVALS, nulls={"pli": {"own-model": 0, "non-owners": score}})
    assert (found.grade, found.badge) == ("guess", "What anybody could guess")
    assert "the likeness is what anybody could have guessed from public images" in found.details[0]
    assert "does as well" in found.headline
    assert any("Not a proof of safety" in point for point in found.means_not)


def test_another_attacks_nulls_do_not_count() -> None:
    found = verdict({"pli": 17, "ridge": 3}, RIVALS, nulls={"ridge": {"non-owners": 20}})
    assert found.grade == "likeness"


def test_an_attack_is_held_against_its_own_prior_and_never_against_anothers() -> None:
    assert verdict({"pli": 9, "gap": 2}, {**RIVALS, "prior of gap": 12}).grade == "likeness"
    own = verdict({"pli": 9, "gap": 2}, {**RIVALS, "prior of pli": 12})
    assert own.grade == "unclear"
    assert any("prior of pli scores 12 of 20" in line for line in own.details)


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
    assert "not told apart from a guess" in found.headline
    assert any("public-mean scores 6 of 20" in line for line in found.details)


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
    assert "From shared class probabilities" in found.headline


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
