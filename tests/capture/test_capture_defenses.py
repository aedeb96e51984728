"""What clients did before they sent, as a capture says it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from make_capture import J, N, describe

from logitleak import CaptureWriter
from logitleak.capture.inspect import inspect
from logitleak.errors import UserError
from logitleak.stages.record import export_run, import_recorded
from logitleak.stages.threat import threat_model
from logitleak.wire.transcript import Transcript
from logitleak.wire.writer import Defended

DEFENSES: list[dict[str, Any]] = [
    {"name": "round", "settings": {"digits": 1}, "clients": ["b"]},
    {"name": "in-house noise", "settings": {"level": 3}},
]


def test_they_reach_the_transcript_and_the_threat_model(capture: Path, tmp_path: Path) -> None:
    describe(capture, defenses=DEFENSES)
    view = Transcript(import_recorded(capture, tmp_path / "run").path)
    known, other = view.manifest.defenses
    assert (known.name, known.clients) == ("round", [1])
    assert known.settings["digits"] == 1
    assert other == Defended(name="in-house noise", settings={"level": 3}, clients="all")
    said = str(threat_model(view, True))
    assert "in-house noise" in said
    assert "(round)" in said


def test_guarantees_over_recorded_rounds_are_the_least(capture: Path, tmp_path: Path) -> None:
    described = [{"name": "gaussian"}, {"name": "laplace"}, {"name": "round"}]
    describe(capture, defenses=described)
    view = Transcript(import_recorded(capture, tmp_path / "run").path)
    said = [line for line in threat_model(view, True)["sees"] if "Guarantee" in line]
    assert [("At least: uploads of rounds" in line) for line in said] == [True, True, False]


def test_what_is_odd_is_said(capture: Path) -> None:
    describe(capture, defenses=[*DEFENSES, {"name": "round", "clients": ["b", "zoe"]}])
    found = inspect(capture).findings
    assert found.errors == 0
    assert [f.where for f in found.kept if f.where.startswith("defenses")] == ["defenses.1", "defenses.2"]
    assert "zoe: no client is called like that" in str(found.kept[-1])


def test_settings_that_there_are_not_stop_an_import(capture: Path, tmp_path: Path) -> None:
    describe(capture, defenses=[{"name": "round", "settings": {"digit": 1}}])
    with pytest.raises(UserError, match=r"defenses\.0: .*digit"):
        import_recorded(capture, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_defense_that_nobody_has_is_left_out(capture: Path, tmp_path: Path) -> None:
    describe(capture, defenses=[{"name": "round", "clients": ["zoe"]}])
    assert Transcript(import_recorded(capture, tmp_path / "run").path).manifest.defenses == []


def test_they_are_exported(capture: Path, tmp_path: Path) -> None:
    describe(capture, defenses=DEFENSES)
    run = import_recorded(capture, tmp_path / "run").path
    export_run(run, tmp_path / "again")
    back = Transcript(import_recorded(tmp_path / "again", tmp_path / "back").path)
    assert back.manifest.defenses == Transcript(run).manifest.defenses


def test_a_writer_tells_them(tmp_path: Path) -> None:
    import numpy as np

    with CaptureWriter(tmp_path / "it", J, N, defenses=[{"name": "round", "clients": [1]}]) as record:
        for client in (0, 1):
            record.upload(1, client, np.zeros((N, J), np.float32))
    (known,) = Transcript(import_recorded(tmp_path / "it", tmp_path / "run").path).manifest.defenses
    assert (known.name, known.clients) == ("round", [1])
