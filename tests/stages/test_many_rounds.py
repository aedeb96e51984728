"""Rounds are numbers, not text: from round 100 on their names no longer sort as text."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import logitleak
from logitleak.capture.export import export
from logitleak.files.storage import read_tensors, write_json, write_tensors
from logitleak.report.parts.images import reconstructions
from logitleak.stages.attack import _resume
from logitleak.stages.folder import World
from logitleak.stages.record import import_recorded
from logitleak.stages.run import attack_run
from logitleak.stages.simulation import last_checkpoint
from logitleak.wire.transcript import Transcript

Config = Callable[..., dict[str, Any]]
ROUNDS = st.sets(st.integers(1, 120), min_size=2, max_size=2)


@settings(max_examples=40, deadline=None)
@given(ROUNDS)
def test_the_newest_of_any_two_rounds(rounds: set[int]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, newest = Path(name), max(rounds)
        for round in rounds:
            images = torch.full((1, 3, 2, 2), round / 120)
            write_tensors(folder / "checkpoint" / f"round-{round:02d}.safetensors", {})
            write_tensors(folder / f"state-{round:02d}.safetensors", {"round": torch.tensor(round)})
            write_json(folder / f"state-{round:02d}.json", {"losses": [round], "choices": {}})
            write_tensors(folder / f"round-{round:02d}.safetensors", {"images": images})
        assert last_checkpoint(World(folder)) == newest
        loaded: list[int] = []
        trace = SimpleNamespace(losses=[], choices={})
        attack: Any = SimpleNamespace(
            trace=trace, load_state=lambda table, view: loaded.append(int(table["round"]))
        )
        assert _resume(attack, None, folder) == newest  # type: ignore[arg-type]
        assert (loaded, trace.losses) == ([newest], [newest])
        (folder / "checkpoint").rename(folder.parent / f"{folder.name}-checkpoint")
        assert list(reconstructions(folder, [])[1]) == sorted(rounds)


@pytest.mark.slow
def test_more_than_a_hundred_rounds(
    tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed when checkpoints and states of two rounds are there whose names sort wrongly, then gone on with."""
    config = tiny_config(image_size=16)
    config["federation"] |= {"rounds": 102, "models": ["mlp"], "server_model": "mlp"}
    config["attacks"] = {"pli": {"attack": "pli", "settings": {"width": 16, "steps": 1, "batch": 4}}}
    straight = logitleak.run(config, tmp_path / "straight")
    unlink = Path.unlink
    left: list[str] = []

    def killed(self: Path, missing_ok: bool = False) -> None:
        if "-99" in self.name and self.name not in left:
            left.append(self.name)
            raise KeyboardInterrupt
        unlink(self, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed)
        while True:
            try:
                again = logitleak.run(config, tmp_path / "run")
                break
            except KeyboardInterrupt:
                continue
    assert {name.partition(".")[0] for name in left} == {"round-99", "state-99"}
    for result in (straight, again):
        result.metrics["resources"].clear()  # type: ignore[attr-defined]
    assert again.metrics == straight.metrics
    assert [row["round"] for row in again.metrics["attacks"]["pli"]["rounds"]] == list(range(1, 103))
    assert [row["round"] for row in again.metrics["utility"]["rounds"]] == list(range(103))
    assert {row["round"] for row in again.metrics["federation"]["bytes"]} == set(range(1, 103))
    assert "102" in again.report.read_text()
    # and out into a capture, and in again
    export(Transcript(again.path), tmp_path / "capture", "many", True)
    there = import_recorded(tmp_path / "capture", tmp_path / "imported").path
    for round in (1, 99, 100, 101, 102):
        a, b = (Transcript(run).client_logits(1, round)[1] for run in (again.path, there))
        assert torch.equal(a, b)
    from logitleak.config import AttackConfig

    late = attack_run(there, "ridge", AttackConfig(attack="ridge")).path
    assert json.loads((late / "metrics.json").read_text())["attacks"]["ridge"]["attack"] == "ridge"
    assert len(read_tensors(late / "attacks/ridge/round-102.safetensors")["images"]) == 2
