"""A federation may be about classes or products: the report calls them so, and says "person" where nobody said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fabricate import share
from fabricate_game import comparison

from logitleak.report.parts.load import Attack, Run
from logitleak.report.parts.words import Verdict, many, one
from logitleak.report.run.verdict import judge
from logitleak.text import plural


def run_of(noun: Any, game: bool, synthetic: bool = False) -> Run:
    leak = {"chosen": comparison(14, 1, 20), "owner": None, "p_holm": None, "rounds": [], "per_target": []}
    numbers = {"kind": "attack", "accuracy": share(15, 20), "leak": leak if game else None}
    played = {"design": "twins", "unit": "person", "worlds": 2, "units": 20, "in": [10, 10]} if game else None
    metrics = {"noun": noun, "data": {"synthetic": synthetic, "chance": 0.01}, "game": played}
    return Run(Path(), metrics, {}, [Attack("gap", numbers)], None, None, [], [])


def words(verdict: Verdict) -> str:
    return " ".join([verdict.headline, *verdict.details, *verdict.means, *verdict.means_not])


@pytest.mark.parametrize("synthetic", [False, True])
@pytest.mark.parametrize("game", [False, True])
def test_no_people_where_there_are_none(game: bool, synthetic: bool) -> None:
    said = words(judge(run_of("class", game, synthetic)))
    assert "class" in said
    assert not {"people", "person", "identity", "identities"} & set(
        said.replace(".", " ").replace(",", " ").split()
    )


def test_people_by_default() -> None:
    assert "14 of 20 people" in judge(run_of("person", game=True)).headline
    assert "14 of 20 classes" in judge(run_of("class", game=True)).headline


@pytest.mark.parametrize("wrong", [None, 3, "", "<b>", ["class"]])
def test_a_damaged_word_is_a_person(wrong: Any) -> None:
    run = run_of(wrong, game=True)
    assert (one(run), many(run)) == ("person", "people")


@pytest.mark.parametrize(
    ("noun", "several"),
    [
        ("person", "people"),
        ("class", "classes"),
        ("body", "bodies"),
        ("toy", "toys"),
        ("product", "products"),
    ],
)
def test_plurals(noun: str, several: str) -> None:
    assert plural(noun) == several
