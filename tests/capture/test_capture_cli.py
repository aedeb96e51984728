"""The commands: what they print, and how they end."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from make_capture import describe

from logitleak import cli
from logitleak.files.storage import read_tensors, write_tensors


def call(*arguments: object) -> int:
    """Run a command; its exit code."""
    try:
        cli.main([str(argument) for argument in arguments])
    except SystemExit as error:
        return int(error.code or 0)
    return 0


@pytest.fixture
def imported(shipped_capture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert call("import", shipped_capture, "--out", tmp_path / "run", "--quiet") == 0
    capsys.readouterr()
    return tmp_path / "run"


def test_from_logits_to_a_report(imported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("attack", imported) == 0
    said = capsys.readouterr().out
    assert "of 2 people rebuilt" in said
    assert said.endswith("report.html\n")
    assert call("report", imported) == 0
    assert call("export", imported, "--out", tmp_path / "capture") == 0
    assert "title: A pilot" in (tmp_path / "capture/capture.yaml").read_text()
    assert not (tmp_path / "capture/private").exists()
    assert call("import", tmp_path / "capture", "--out", tmp_path / "again") == 0
    assert call("attack", tmp_path / "again") == 0
    assert "no truth to score it with" in capsys.readouterr().out


def test_import_says_what_is_odd(
    capture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (capture / "logits/2-b.npz").unlink()
    monkeypatch.chdir(tmp_path)
    assert call("import", capture) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("warning  clients: client b was absent in round 2")
    assert said[-1] == "runs/pilot"


def test_import_into_the_folder_one_is_in(
    shipped_capture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("import", shipped_capture, "--out", ".") == 0
    assert capsys.readouterr().out == ".\n"
    assert Path("run.json").is_file()
    assert call("validate", ".") == 0


def test_validate_a_capture(capture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (capture, capture / "capture.yaml"):
        assert call("validate", path) == 0
        assert "0 errors, 0 warnings" in capsys.readouterr().out
    describe(capture, server=None)
    assert call("validate", capture) == 0
    assert "warning  server: there are no outputs of the server's own" in capsys.readouterr().out
    (capture / "public/0-0.png").unlink()
    assert call("validate", capture) == 2
    said = capsys.readouterr()
    assert said.out.startswith("error    public.table: names 1 image not there")
    assert re.fullmatch(r"logitleak: [^\n]* cannot be used: 1 error, 1 warning\.\n", said.err)


def test_validate_a_run(imported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("validate", imported) == 0
    assert "T = 2 rounds of logits" in capsys.readouterr().out
    path = imported / "wire/round-02/upload.safetensors"
    table = read_tensors(path)
    table["client-1/logits"] = table["client-0/logits"].clone()
    write_tensors(path, table)
    assert call("validate", imported) == 0
    assert "warning  wire/round-02: clients 0 and 1 uploaded the same." in capsys.readouterr().out
    table["client-1/logits"][3, 2] = torch.nan
    table["client-0/logits"] = table["client-0/logits"].softmax(1)
    write_tensors(path, table)
    assert call("validate", imported) == 2
    said = capsys.readouterr().out
    assert "wire/round-02: holds probabilities where logits are due" in said
    assert "The upload of client 1 in round 2 holds 1 values" in said


def test_validate_a_broken_transcript(imported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(imported / "wire/round-02")
    assert call("validate", imported) == 2
    assert "lacks round 2" in capsys.readouterr().out
    assert call("validate", imported / "wire", "--set", "seed=1") == 2


def test_validate_sees_a_foreign_truth(imported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = imported / "wire/manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"target_labels": [1, 2]}))
    assert call("validate", imported) == 2
    assert "its targets are not those of the transcript" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ("import", "nowhere"),
        ("import", "."),
        ("import", "nowhere", "--seed", "-1"),
        ("export", "nowhere", "--out", "x"),
        ("validate", "nowhere"),
        ("validate", "."),
        ("attack", "."),
    ],
)
def test_mistakes_are_one_line(
    arguments: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert call(*arguments) == 2
    assert re.fullmatch(r"logitleak: [^\n]+\n", capsys.readouterr().err)
    assert not list((tmp_path / "empty").iterdir())
