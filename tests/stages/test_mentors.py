"""A federation whose clients have mentors, from the configuration to the report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from killed import resumed_equals_straight

import logitleak
from logitleak.config import parse
from logitleak.models.base import build
from logitleak.seeds import derive
from logitleak.stages.check import check
from logitleak.stages.plan import plan
from logitleak.stages.verify import verify
from logitleak.wire.transcript import Transcript

Config = Callable[..., dict[str, Any]]

SMALL: dict[str, Any] = {"mentor": "mlp", "hidden": 4}


def fedkd(config: dict[str, Any], **settings: Any) -> dict[str, Any]:
    federation = {"scheme": "fedkd", "clients": 2, "rounds": 3, "batch": 16, "settings": settings}
    return config | {"federation": federation, "attacks": {}}


def test_killed_between_rounds(tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mentors, with their moments, go on where they were."""
    config = fedkd(tiny_config(), **SMALL)
    assert resumed_equals_straight(config, tmp_path, monkeypatch) == 1 + 3 * 3


def test_attacks_and_twins_of_fedkd(tmp_path: Path, tiny_config: Config) -> None:
    """Attacks see the mentee that was sent, or stepped along since; nothing of a mentor travels."""
    config = fedkd(tiny_config(targets=4), **SMALL) | {"game": {"design": "twins"}}
    config["attacks"] = {name: {"settings": {"steps": 2}} for name in ("gs", "mi-face")}
    run = logitleak.run(config, tmp_path / "run")
    assert all(run.metrics["attacks"][name]["leak"] for name in config["attacks"])
    view = Transcript(run.path / "worlds" / "0")
    model = build("cnn", (16, 16), view.knowledge.num_classes, derive(0)).eval()
    model.load_state_dict(dict(view.global_model(2).weights))
    with torch.no_grad():  # the server's own model after round 1 is what clients began round 2 with
        assert torch.equal(model(view.knowledge.public.images), view.server_logits(1))
    whole = 4 * sum(value.numel() for value in view.global_model(1).weights.values())
    assert all(0 < size < whole for size in view.bytes_received(2).values())
    assert all(0 < size < whole for size in view.bytes_sent(2).values())
    assert run.metrics["federation"]["weights"] == [whole, whole]
    assert verify(run.path / "worlds" / "0").findings.errors == 0


def test_a_mentor_that_there_is_not(tiny_config: Config) -> None:
    with pytest.raises(logitleak.UserError, match='No model is called "resnett"'):
        check(parse(fedkd(tiny_config(), mentor="resnett")))


def test_a_mentor_takes_memory_and_time(tiny_config: Config) -> None:
    small, large = (plan(parse(fedkd(tiny_config(), mentor=mentor))) for mentor in ("cnn", "mlp"))
    assert small.memory.stages["federation"] < large.memory.stages["federation"]
    assert small.disk.checkpoint < large.disk.checkpoint
