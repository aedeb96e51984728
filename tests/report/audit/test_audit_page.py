"""The page of an audit: sentences and tables that follow from the numbers, and nothing that does not."""

from __future__ import annotations

from typing import Any

import pytest

from logitleak.report.audit.findings import detected
from logitleak.report.audit.page import _row, by_client, context
from logitleak.report.parts.render import render


def game(value: float, low: float, high: float) -> dict[str, Any]:
    area = {"value": value, "low": low, "high": high, "positives": 20, "negatives": 20}
    pairs = {"successes": 18, "trials": 19, "ties": 1}
    return {"game": {"area": area, "pairs": pairs, "points": [], "per_unit": [], "detectable": 0.74}}


@pytest.mark.parametrize(
    ("low", "grade", "said"),
    [
        (0.85, "clear", "The uploads tell"),
        (0.6, "likely", "say something of"),
        (0.4, "none", "Nothing was shown"),
    ],
)
def test_a_grade_follows_from_the_lower_end(low: float, grade: str, said: str) -> None:
    found = detected("identity", "Who is where", game(0.9, low, 0.99), False, "class")
    assert found.grade == grade
    assert said in found.sentence
    assert "18 of 20 classes" in found.sentence
    assert ("0.74" in found.sentence) == (
        grade == "none"
    )  # what it could have found is said where it found nothing


def among(value: float, low: float, high: float) -> dict[str, Any]:
    area = {"value": value, "low": low, "high": high, "positives": 6, "negatives": 18}
    return {"clients": {"area": area, "named": {"successes": 6, "trials": 6}}}


@pytest.mark.parametrize(
    ("where", "who", "grade"),
    [
        ((1.0, 0.85, 1.0), (0.72, 0.39, 0.91), "clear"),
        ((0.72, 0.39, 0.91), (1.0, 0.69, 1.0), "likely"),
        ((0.5, 0.3, 0.7), (0.5, 0.3, 0.7), "none"),
    ],
)
def test_each_area_has_its_own_claim(
    where: tuple[float, float, float], who: tuple[float, float, float], grade: str
) -> None:
    """Who took part may be hidden, and who is at which client told, or the other way round."""
    found = detected("identity", "", game(*who) | among(*where), False, "person")
    at, took = found.claims
    assert (at.about, at.low) == ("at which client which people are", where[1])
    assert (took.about, took.low) == ("which people took part", who[1])
    assert "named for 6 of 6" in at.sentence
    assert "score higher" not in at.sentence
    assert "18 of 20 people score higher" in took.sentence
    assert found.sentence == f"{at.sentence} {took.sentence}"
    assert (found.grade, found.low) == (grade, max(where[1], who[1]))


def test_both_areas_are_in_the_table() -> None:
    row = _row(
        {"onlooker": "server", "sees": ""},
        True,
        {"variant": "all rounds"} | game(0.7, 0.4, 0.9) | among(1, 0.8, 1),
    )
    assert (row["area"], row["counts"]) == ("0.700 [0.40–0.90]", "20 / 20")
    assert (row["among"], row["among_counts"], row["named"]) == ("1.000 [0.80–1.00]", "6 / 18", "6 of 6")


def test_images_are_called_images() -> None:
    assert "which images were used" in detected("queried", "", game(0.9, 0.7, 0.99), True, "person").sentence


def _page(result: dict[str, Any] | None) -> dict[str, Any]:
    views = (
        [] if result is None else [{"onlooker": "server", "sees": "", "refused": None, "variants": [result]}]
    )
    identity = {"audit": "identity", "summary": "", "question": "?", "answer": "membership", "views": views}
    return context({"audits": [identity], "data": {}, "threat_model": {}})


@pytest.mark.parametrize(
    ("low", "badge"),
    [
        (0.85, "Given away"),
        (0.6, "Something is given away"),
        (0.4, "Nothing was shown"),
        (None, "Not judged"),
    ],
)
def test_what_nobody_judged_is_not_said_to_be_nothing(low: float | None, badge: str) -> None:
    page = _page(None if low is None else {"variant": "all rounds"} | game(0.9, low, 0.99))
    assert page["badge"] == badge
    assert page["worst"].audit == "identity"


def test_the_command_that_plants_canaries_can_be_given() -> None:
    (command,) = [step[2] for step in _page(None)["steps"] if step[0] == "Get the truth"]
    assert command == "logitleak deploy split CONFIG OUT --canaries 20"


def test_clients_by_how_exposed_their_people_are() -> None:
    exposed = [
        {"client": 2, "order": (1.0, 3.0)},
        {"client": 0, "order": (1.0, 2.0)},
        {"client": 2, "order": (0.5, 0.1)},
    ]
    assert by_client(exposed) == [
        {"client": 0, "targets": 1, "mean": "100%", "least": "100%"},
        {"client": 2, "targets": 2, "mean": "75%", "least": "50%"},
    ]
    assert by_client(exposed[1:2]) == []
    assert by_client([{"client": None, "order": (1.0, 0.0)}]) == []


def test_which_model_a_stolen_one_is_held_against() -> None:
    """The best of three, and not always the server's own."""
    models = {
        "agreement": {"value": 0.9, "low": 0.8, "high": 0.95},
        "gain": {"difference": 0.1, "low": 0.02, "high": 0.18},
        "against": "student of the server",
    }
    row = _row({"onlooker": "server", "sees": ""}, True, {"variant": "student", "models": models})
    assert (row["gain"], row["against"]) == ("+10.0 [+2.0 to +18.0]", "student of the server")
    question = {
        "audit": "stealing", "summary": "", "question": "?", "answer": "models", "estimate": None, "assumptions": [],
        "views": [{
            "onlooker": "server", "sees": "", "primary": "student", "refused": None,
            "variants": [{"variant": "student", "models": models}],
        }],
    }  # fmt: skip
    identity = {"audit": "identity", "summary": "", "question": "?", "answer": "membership", "views": []}
    html = render("audit.html.j2", context({"audits": [identity, question], "data": {}, "threat_model": {}}))
    assert "Points against the best model that nobody stole" in html
    assert "against student of the server" in html
