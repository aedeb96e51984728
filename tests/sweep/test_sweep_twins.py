"""Sweeps over twin worlds: cells attack every world, the table has the leak, tuned cells share one lab."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import logitleak
from logitleak.files.storage import read_json, read_tensors
from logitleak.progress import Quiet
from logitleak.sweep.config import load
from logitleak.sweep.run import run_sweep
from logitleak.sweep.table import table

WriteSweep = Callable[..., Path]


@pytest.fixture
def base(
    people: Callable[..., Path], tiny_config: Callable[..., dict[str, Any]], tmp_path: Path
) -> dict[str, Any]:
    """Twin worlds of two clients with two targets each, and twenty public people."""
    config = tiny_config(people(tmp_path / "people", identities=24), targets=4)
    config["federation"] = {"clients": 2, "rounds": 2, "batch": 16}
    attacks = {
        "gap": {"tune": "public"},
        "sum": {"attack": "gap", "view": "sum"},
        "ridge": {"tune": "public"},
    }
    return config | {"game": {"design": "twins"}, "attacks": attacks}


@pytest.mark.slow
def test_cells_of_twins(write_sweep: WriteSweep, base: dict[str, Any], tmp_path: Path) -> None:
    show = [{"kind": "table", "title": "Leak", "rows": ["attack"], "value": "leak"}]
    sweep = load(write_sweep(base=base, grid={"seed": [0]}, show=show))
    result = run_sweep(sweep, tmp_path / "out", Quiet(), workers=2)
    assert not result.failed
    alone = logitleak.run(base, tmp_path / "run").metrics["attacks"]
    for row in table(result.path):
        leak = alone[row["axes"]["attack"]]["leak"]
        chosen = leak["chosen"]
        assert row["leak"] == chosen["leak"]["value"]
        assert row["out"] == chosen["out"]["value"]
        assert (row["out_targets"], row["out_units"]) == (4, 4)
        assert [row[name] for name in ("both", "only_in", "only_out", "neither")] == list(
            chosen["table"].values()
        )
        assert row["owner_leak"] == (leak["owner"] and leak["owner"]["leak"]["value"])
        assert row["owner_wins"] == (leak["owner"] and leak["owner"]["wins"]["value"])
        cell = result.path / "cells" / row["id"]
        images = read_tensors(cell / "round-02.safetensors")["images"]
        gallery = read_tensors(tmp_path / "run" / "gallery.safetensors")
        assert (images * 255).round().equal(gallery[f"in/{row['axes']['attack']}/2"].float())
        found = read_json(cell / "result.json")["leak"]["chosen"]
        # a cell has its share of the threads: SSIM's sums come in another order, and their last digits differ
        assert found.pop("ssim") == pytest.approx(chosen.pop("ssim"), abs=1e-5)
        assert found == chosen
    labs = list(result.path.glob("federations/*/lab/mock/*/whole"))
    assert len(labs) == 2  # two worlds, once, for both cells that are tuned
    assert "percentage points" in result.report.read_text()
    assert json.loads((result.path / "table.jsonl").read_text().splitlines()[0])["axes"]["attack"] == "gap"
