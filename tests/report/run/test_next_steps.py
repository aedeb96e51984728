"""What now? Each line is true of the numbers it stands under, and none is there without its reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fabricate import fabricate, share
from fabricate_game import comparison
from scipy.stats import binomtest

from logitleak.report.parts.load import Attack, Run, load
from logitleak.report.run.next_steps import fewest, steps, wins_needed
from logitleak.report.run.verdict import judge

CLEAR = {"leak": {"low": 0.38, "high": 0.81, "p": 0.0002}}
QUIET = {"leak": {"low": -0.1, "high": 0.3, "p": 0.5}, "wins": None, "ssim": {"low": -0.1}}


def side(success: float) -> dict[str, float]:
    return {"success": success, "ssim": 0.5}


def target(label: int, inside: float, outside: float, owner: int) -> dict[str, Any]:
    return {"label": label, "name": f"id{label}", "owner": owner, "in": side(inside), "out": side(outside)}


def told(
    chosen: dict[str, Any] | None,
    game: dict[str, Any] | None = None,
    rounds: list[dict[str, Any]] | None = None,
    per_target: list[dict[str, Any]] | None = None,
    shared: str = "logits",
    view: str = "clients",
    defenses: list[str] | None = None,
    owner: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, tuple[str, str]]:
    """Text and command of every step, by its title."""
    numbers: dict[str, Any] = {"kind": "attack", "accuracy": share(15, 20), "settings": {"view": view}}
    metrics: dict[str, Any] = {"data": {"clients": 4, "chance": 0.01} | more, "game": None}
    if chosen is not None:
        numbers["leak"] = {
            "chosen": chosen, "owner": owner, "p_holm": None, "rounds": rounds or [], "per_target": per_target or []
        }  # fmt: skip
        metrics["game"] = {"design": "twins", "unit": "person", "worlds": 2, "units": 20, "in": [10, 10]} | {
            "primary": {"attack": "gap", "image": "chosen", "round": 3}, **(game or {})
        }  # fmt: skip
    run = Run(Path(), metrics, {}, [Attack("gap", numbers)], None, None, [], [], shared, True, defenses or [])
    return {step.title: (step.text, step.command) for step in steps(run, judge(run))}


def test_who_is_exposed_and_where() -> None:
    rows = [target(3, 1, 0, 2), target(4, 1, 1, 1), target(5, 0, 0, 1), target(7, 1, 0, 0)]
    text, _ = told(comparison(14, 1, 20, **CLEAR), per_target=rows)["Who is exposed"]
    assert text.startswith(
        "2 targets came back only where their images were used: id3 and id7, of clients 0 and 2."
    )


def test_many_are_counted() -> None:
    rows = [target(n, 1, 0, 0) for n in range(12)]
    text, _ = told(comparison(14, 1, 20, **CLEAR), per_target=rows)["Who is exposed"]
    assert "id0, id1, id2, id3, id4, id5, id6, id7 and 4 more, of client 0." in text


def test_nobody_is_exposed() -> None:
    text, _ = told(comparison(3, 2, 20, **QUIET), per_target=[target(3, 1, 1, 2)])["Who is exposed"]
    assert text == "Nobody was rebuilt by gap only where their images were used."


def test_likeness_alone_asks_for_twins() -> None:
    found = told(None)
    assert found["Measure the leak"][1] == "logitleak run CONFIG --twins --out ANOTHER"
    assert "Who is exposed" not in found


def test_a_recording_asks_who_took_part() -> None:
    assert "private.game" in told(None, recorded=True)["Say who took part"][0]


def test_as_many_pairs_as_the_exact_test_needs() -> None:
    assert binomtest(fewest(), fewest(), 0.5).pvalue < 0.05
    assert binomtest(fewest() - 1, fewest() - 1, 0.5).pvalue >= 0.05


@pytest.mark.parametrize(
    ("units", "words"),
    [
        (20, "With 20 targets a leak under 30 points cannot be clear"),
        (5, "With 5 targets no leak can be clear"),
    ],
)
def test_what_a_quiet_game_could_have_shown(units: int, words: str) -> None:
    text, command = told(comparison(3, 2, 20, **QUIET), {"units": units})["Look closer"]
    assert text.startswith(words)
    assert "game.worlds=4" in command


def test_a_clear_leak_need_not_be_looked_at_closer() -> None:
    assert "Look closer" not in told(comparison(14, 1, 20, **CLEAR))


@pytest.mark.parametrize(("first", "words"), [(13, "would not have helped"), (3, "adds to it")])
def test_whether_fewer_rounds_would_have_helped(first: int, words: str) -> None:
    rounds = [
        {"round": 1, "chosen": comparison(first, 1, 20), "owner": None},
        {"round": 2, "chosen": comparison(14, 1, 20), "owner": None},
    ]
    assert words in told(comparison(14, 1, 20, **CLEAR), rounds=rounds)["Fewer rounds"][0]


LIKENESS = {"measure": "wins", "primary": {"attack": "gap", "image": "owner", "round": 3}, "unit": "image"}


def by_wins(won: int, of: int, leak: int = 3) -> dict[str, Any]:
    """Counts of rebuilt targets say little; so many images are nearer in than out."""
    p = binomtest(won, of).pvalue if of else 1.0
    return comparison(
        leak, 2, 20, **QUIET | {"wins": {"successes": won, "trials": of, "ties": 20 - of, "p": p}}
    )


@pytest.mark.parametrize("trials", [0, 5, 6, 20, 37])
def test_as_many_wins_as_the_exact_test_needs(trials: int) -> None:
    enough = [won for won in range(trials + 1) if 2 * won > trials and binomtest(won, trials).pvalue < 0.05]
    assert wins_needed(trials) == min(enough, default=None)


@pytest.mark.parametrize(
    ("won", "of", "worlds", "words"),
    [
        (10, 20, 2, "Of 20 targets whose images differ 15 must come out nearer to the truth"),
        (10, 20, 4, "Of 20 targets whose images differ 15 must come out nearer to the truth"),
        (3, 5, 2, "The images of 5 targets differ, and of so few no leak can be clear: it takes 6"),
    ],
)
def test_what_is_needed_where_likeness_decides(won: int, of: int, worlds: int, words: str) -> None:
    text, command = told(by_wins(won, of), LIKENESS | {"worlds": worlds})["Look closer"]
    assert text.startswith(words)
    assert "points" not in text
    assert ("game.worlds=4" in command) == (worlds == 2)


def test_rounds_are_held_against_each_other_by_what_the_verdict_is_about() -> None:
    """The chosen image grows from round to round, and the owner's wins, which decide, do not."""
    last = by_wins(18, 20)
    rounds = [
        {"round": 1, "chosen": comparison(1, 1, 20), "owner": by_wins(17, 20)},
        {"round": 2, "chosen": comparison(14, 1, 20), "owner": last},
    ]
    text, _ = told(comparison(14, 1, 20), LIKENESS, rounds, owner=last)["Fewer rounds"]
    assert text.startswith("After the first round 17 of 20 targets came out nearer to the truth")
    assert "after the last 18 of 20" in text
    assert "would not have helped" in text
    by_success = LIKENESS | {"measure": "success"}
    rounds = [
        {"round": 1, "chosen": comparison(14, 1, 20), "owner": comparison(3, 1, 20)},
        {"round": 2, "chosen": comparison(14, 1, 20), "owner": comparison(14, 1, 20)},
    ]
    clear = comparison(14, 1, 20, **CLEAR)
    text, _ = told(clear, by_success, rounds, owner=clear)["Fewer rounds"]
    assert text.startswith(
        "After the first round the leak was 10 points, after the last the leak was 65 points"
    )


def test_a_sum_can_be_tried_where_there_is_one() -> None:
    title = "Would a secure sum help?"
    found = told(comparison(14, 1, 20, **CLEAR))
    assert found[title][1] == "logitleak attack RUN --attack gap --name behind-a-sum --view sum"
    assert title not in told(comparison(14, 1, 20, **CLEAR), clients=1)
    assert title not in told(comparison(14, 1, 20, **CLEAR), shared="weights")
    assert title not in told(comparison(14, 1, 20, **CLEAR), view="sum")


def test_a_defense_that_was_on_is_not_said_to_be_off() -> None:
    leak = comparison(14, 1, 20, **CLEAR)
    bare, again = told(leak)["Other draws"]
    assert "No defense was on" in bare
    assert again == "logitleak run CONFIG --set seed=1 --out ANOTHER"
    for found in (
        told(leak, defenses=["round", "gaussian"], aggregation="secure-sum"),
        told(comparison(3, 2, 20, **QUIET), defenses=["round", "gaussian", "secure-sum"]),
    ):
        text, _ = found["Other draws"]
        assert "No defense was on" not in text
        assert "This one had round, gaussian and secure-sum on" in text


def test_a_recording_is_not_run_again() -> None:
    text, command = told(comparison(14, 1, 20, **CLEAR), recorded=True)["Other draws"]
    assert text.startswith("One recording is one draw")
    assert "Its recording names no defense." in text
    assert command == ""


def test_defenses_are_read_from_the_configuration_or_from_what_travelled(tmp_path: Path) -> None:
    run = fabricate(tmp_path / "run", targets=4, size=16)
    assert load(run).defenses == []
    path = run / "wire" / "manifest.json"
    manifest = json.loads(path.read_text()) if path.exists() else {}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(manifest | {"defenses": [{"name": "pate", "settings": {}, "clients": "all"}]}))
    assert load(run).defenses == ["pate"]
    metrics = json.loads((run / "metrics.json").read_text())
    metrics["config"]["defenses"] = [{"name": "round", "settings": {"digits": 1}, "clients": "all"}]
    (run / "metrics.json").write_text(json.dumps(metrics))
    assert load(run).defenses == ["round"]


def test_without_an_attack_there_is_nothing_to_say() -> None:
    run = Run(Path(), {}, {}, [], None, None, [], [])
    assert steps(run, judge(run)) == []
