"""Table 1, measured: marks follow from what attacks need and from what came back without the private images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from logitleak import registry
from logitleak.report.sweep.attacks import HEADS, attack_tables
from logitleak.report.sweep.load import Cell, Show, Sweep
from logitleak.report.sweep.paper import TABLE1


def cell(attack: str, both: int, only_in: int, needs: str = "logits", seed: int = 0) -> Cell:
    neither = 20 - both - only_in
    row = {
        "id": f"{attack}-{seed}", "federation": f"f{seed}", "status": "finished", "targets": 20, "plugin": attack,
        "needs": needs, "accuracy": (both + only_in) / 20, "out": both / 20, "out_targets": 20, "leak": only_in / 20,
        "both": both, "only_in": only_in, "only_out": 0, "neither": neither, "ssim": 0.5, "owner_named": 0.9,
        "bytes_per_client_round": 2048, "seconds": 3.0,
    }  # fmt: skip
    return Cell(row, {"attack": attack, "seed": str(seed)})


def lines(*cells: Cell) -> dict[str, dict[str, dict[str, Any]]]:
    sweep = Sweep(Path("."), "", {}, {}, [], list(cells))
    (table,) = attack_tables(sweep, Show(kind="attacks"), cells)
    return {line["heads"][0][0]: dict(zip(HEADS, line["cells"], strict=True)) for line in table["body"]}


def test_marks_follow_from_the_numbers() -> None:
    found = lines(
        cell("gap", 0, 12),  # nothing without the images
        cell("pli", 18, 0),  # all of it without
        cell("tbi", 12, 6),  # a leak, but a third of what comes back
        cell("gs", 0, 20, needs="gradients"),
    )
    assert [found[name]["knowledge-decoupling"]["value"] for name in ("gap", "pli", "tbi", "gs")] == [
        "yes", "no", "no", "yes",
    ]  # fmt: skip
    assert [found[name]["gradient-free"]["value"] for name in ("gap", "gs")] == ["yes", "no"]
    assert found["pli"]["knowledge-decoupling"]["range"] == "paper: ✓"
    assert found["gs"]["knowledge-decoupling"]["range"] == "paper: ✗"
    assert found["gap"]["gradient-free"]["range"] == ""  # it is not the paper's
    assert found["gs"]["needs"] == found["gs"]["needs"] | {
        "value": "weights or gradients",
        "range": "paper: gradient",
    }
    assert (found["gap"]["leak"]["value"], found["pli"]["success without the images"]["value"]) == (
        "+60",
        "90%",
    )
    assert found["gap"]["owner named"]["value"] == "90%"


def test_seeds_are_pooled() -> None:
    found = lines(cell("gap", 0, 12), cell("gap", 0, 0, seed=1))
    assert found["gap"]["leak"]["value"] == "+30"


def test_what_is_not_there_is_no_mark() -> None:
    missing = Cell({"id": "x", "federation": "f", "status": "failed"}, {"attack": "gap", "seed": "0"})
    assert {entry["value"] for entry in lines(missing)["gap"].values()} == {None}
    alone = dict.fromkeys(("out", "leak", "both", "only_in", "only_out", "neither"))
    done = cell("gap", 0, 0)
    found = lines(Cell(done.row | alone, done.axes))
    assert found["gap"]["knowledge-decoupling"]["value"] is None
    assert found["gap"]["gradient-free"]["value"] == "yes"


@pytest.mark.parametrize("name", sorted(set(TABLE1) & set(registry.names("attack"))))
def test_the_papers_marks_for_gradients_are_what_attacks_need(name: str) -> None:
    """But for MI-FACE, which the paper counts as using gradients: here it needs a client's own weights."""
    assert ("gradients" not in registry.load("attack", name).needs) is TABLE1[name][1]
