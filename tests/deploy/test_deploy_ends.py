"""A server that is killed, or whose model diverges: whole rounds can be attacked, and nobody deletes them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from loopback import Loopback
from torch import Tensor

import logitleak
from logitleak import config as configs
from logitleak.config import AttackConfig
from logitleak.deploy.config import DeployConfig, of_run
from logitleak.deploy.folders import divide
from logitleak.deploy.server import serve
from logitleak.errors import UserError
from logitleak.federation.bank import ModelBank
from logitleak.federation.channel import TooFewClients
from logitleak.progress import Quiet
from logitleak.stages.defended import promised
from logitleak.stages.federate import federate
from logitleak.stages.folder import RunFolder
from logitleak.stages.opening import open_run
from logitleak.stages.run import attack_run, write_report
from logitleak.stages.threat import threat_model
from logitleak.types import Absence, Payload
from logitleak.wire.transcript import Transcript

Tiny = Callable[..., dict[str, Any]]

RIDGE = AttackConfig(attack="ridge")


def deployment(values: dict[str, Any], folder: Path) -> DeployConfig:
    config = configs.parse(values)
    divide(config, folder / "data")
    return of_run(config, folder / "data", folder / "run")


def killed_in(round: int, config: DeployConfig, copy: Path) -> None:
    """What SIGKILL would leave: a copy of the run folder, made in the middle of a round."""

    def spoil(now: int, action: str, client: int, answer: Payload) -> Payload | Absence:
        if now == round and action == "upload" and not copy.exists():
            shutil.copytree(config.out, copy)
        return answer

    serve(config, lambda form: Loopback(config, spoil))


def test_whole_rounds_of_a_killed_server_are_attacked_and_reported(
    four_clients: Tiny, tmp_path: Path
) -> None:
    config = deployment(four_clients("dsfl"), tmp_path)
    killed_in(2, config, tmp_path / "killed")
    assert Transcript(tmp_path / "killed").rounds == 1
    result = attack_run(tmp_path / "killed", "ridge", RIDGE)
    ended = result.metrics["federation"]["ended"]
    assert ended["after_round"] == 1
    assert "still running, or was killed" in ended["reason"]
    assert "The federation ended early" in write_report(tmp_path / "killed").report.read_text()
    assert json.loads((config.out / "run.json").read_text())["ended"] is None
    finished = attack_run(config.out, "ridge", RIDGE)
    assert finished.metrics["federation"]["ended"] is None
    assert "The federation ended early" not in finished.report.read_text()


def test_guarantees_count_uploads_that_left_in_a_round_that_is_not_whole(
    four_clients: Tiny, tmp_path: Path
) -> None:
    values = four_clients("fedmd") | {"defenses": [{"name": "gaussian", "settings": {"sigma": 1000}}]}
    config = deployment(values, tmp_path)

    def lost(round: int, action: str, client: int, answer: Payload) -> Payload | Absence:
        return Absence("failed: power cut") if (round, action) == (2, "digest") else answer

    with pytest.raises(TooFewClients):
        serve(config, lambda form: Loopback(config, lost))
    view = Transcript(config.out)
    assert (view.rounds, view.asked) == (1, 2)
    said = str(threat_model(view)["sees"])
    assert "over 2 uploads" in said
    assert "At least" not in said
    assert "over 2 uploads" in promised(view)["gaussian"]


def test_a_killed_server_may_have_asked_once_more(four_clients: Tiny, tmp_path: Path) -> None:
    config = deployment(four_clients("fedmd"), tmp_path)
    killed_in(2, config, tmp_path / "killed")
    assert Transcript(tmp_path / "killed").asked == 2
    assert "asked" not in json.loads((config.out / "wire/manifest.json").read_text())


def test_what_ends_between_rounds_was_asked_for_no_more(four_clients: Tiny, tmp_path: Path) -> None:
    config = deployment(four_clients("dsfl"), tmp_path)

    def lost(round: int, action: str, client: int, answer: Payload) -> Payload | Absence:
        return Absence("failed: power cut") if (round, action) == (2, "learn") else answer

    with pytest.raises(TooFewClients):
        serve(config, lambda form: Loopback(config, lost))
    assert Transcript(config.out).asked == 1


def test_no_simulation_takes_the_place_of_what_was_recorded(four_clients: Tiny, tmp_path: Path) -> None:
    values = four_clients("dsfl")
    config = deployment(values, tmp_path)
    killed_in(1, config, tmp_path / "killed")
    for folder in (tmp_path / "killed", config.out):
        before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
        assert folder / "wire" / "public.safetensors" in before
        for other in (values, values | {"seed": 7}):
            with pytest.raises(UserError, match="real clients.*choose another --out"):
                logitleak.run(other, folder)
        with pytest.raises(UserError, match="real clients"):
            federate(configs.parse(values), RunFolder(folder), Quiet())
        with pytest.raises(UserError, match="another seed, data or federation"):
            open_run(folder, configs.parse(values | {"seed": 7}))
        assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_a_server_model_that_diverges_ends_it_before_the_round_is_kept(
    four_clients: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = deployment(four_clients("fedmd"), tmp_path)
    now = 0
    predict = ModelBank.predict

    def diverging(self: ModelBank, images: Tensor, batch: int = 256) -> Tensor:
        found = predict(self, images, batch)
        return torch.full_like(found, torch.nan) if self.members == ["server"] and now == 2 else found

    def spoil(round: int, action: str, client: int, answer: Payload) -> Payload | Absence:
        nonlocal now
        now = round
        return answer

    monkeypatch.setattr(ModelBank, "predict", diverging)
    with pytest.raises(UserError, match=r"not finite; lower federation\.lr"):
        serve(config, lambda form: Loopback(config, spoil))
    assert Transcript(config.out).rounds == 1
    ended = json.loads((config.out / "run.json").read_text())["ended"]
    assert ended["after_round"] == 1
    assert "lower federation.lr" in ended["reason"]
    assert attack_run(config.out, "ridge", RIDGE).report.exists()


def test_a_reason_is_one_printable_line(four_clients: Tiny, tmp_path: Path) -> None:
    config = deployment(four_clients("dsfl"), tmp_path)

    def spoil(round: int, action: str, client: int, answer: Payload) -> Payload | Absence:
        raise ValueError("two\nlines \x1b[31m" + "x" * 1000)

    with pytest.raises(ValueError, match="two"):
        serve(config, lambda form: Loopback(config, spoil))
    reason = json.loads((config.out / "run.json").read_text())["ended"]["reason"]
    assert reason.startswith("ValueError: two lines [31mxxx")
    assert len(reason) <= 400
