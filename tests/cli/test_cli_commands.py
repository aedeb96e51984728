"""The command line: what works."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from logitleak import __version__, cli
from logitleak.files.storage import read_json

Process = Callable[..., subprocess.CompletedProcess[str]]


def test_run(finished: Path) -> None:
    metrics = read_json(finished / "metrics.json")
    assert set(metrics["attacks"]) == {"ridge", "pli", "tbi", "prior", "public-mean"}
    assert (finished / "report.html").stat().st_size > 10_000
    assert read_json(finished / "run.json")["federated"] is True


def test_a_corrupt_image_is_skipped_and_told(finished: Path) -> None:
    (skipped,) = read_json(finished / "metrics.json")["data"]["skipped"]
    assert skipped["path"] == "person-02/1.png"
    assert "not a readable image" in skipped["reason"]


def test_run_again_does_nothing_twice(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def metrics() -> dict[str, Any]:
        found: dict[str, Any] = read_json(run_folder / "metrics.json")
        del found["resources"]  # the memory of this process
        return found

    before = metrics()
    cli.main(["run", str(run_folder / "config.yaml"), "--out", str(run_folder)])
    out = capsys.readouterr().out.splitlines()
    assert out[-1] == str(run_folder / "report.html")
    assert [line.split()[0] for line in out[:-1]] == ["pli", "ridge", "tbi", "prior", "public-mean"]
    assert metrics() == before


def test_attack_and_report(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["attack", str(run_folder), "--name", "cold", "--set", "tau=1.5", "--quiet"])
    assert capsys.readouterr().out.strip() == str(run_folder / "report.html")
    assert read_json(run_folder / "metrics.json")["attacks"]["cold"]["settings"]["tau"] == 1.5
    (run_folder / "report.html").unlink()
    cli.main(["report", str(run_folder), "--quiet"])
    assert (run_folder / "report.html").exists()


def test_validate(config_file: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["validate", str(config_file())])
    out = capsys.readouterr().out
    assert "6 people" in out
    assert "K = 2 clients" in out
    assert "ridge, pli, tbi on 2 targets" in out


def test_data_prepare(six_people: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["data", "prepare", "folder", "--root", str(six_people), "--image-size", "16"])
    assert "6 people, 24 images, 4 to 4 each, 16x16 pixels" in capsys.readouterr().out


def test_data_show(six_people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "sheet.png"
    cli.main(
        ["data", "show", "folder", "--root", str(six_people), "--out", str(out), "--degradation", "mask"]
    )
    assert capsys.readouterr().out.strip() == str(out)
    assert out.stat().st_size > 1000


def test_data_synth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--identities", "1", "--images", "1", "--domains", "adult", "--workers", "1", "--quiet"]
    cli.main(["data", "synth", str(tmp_path / "made"), *arguments])
    assert capsys.readouterr().out == ""
    assert len(list((tmp_path / "made" / "adult").rglob("*.png"))) == 1


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["--version"])
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize("arguments", [["--help"], ["data", "--help"], ["attack", "--help"], ["data"]])
def test_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 0
    assert "usage: logitleak" in capsys.readouterr().out


def test_help_is_quick_to_import() -> None:
    """Neither torch nor numpy is imported for help, `ls` and mistakes in names."""
    code = """
import sys
from logitleak.cli.command import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
heavy = {"torch", "numpy", "scipy", "PIL"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else 0)
"""
    for arguments in (["--help"], ["ls"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_metrics_are_json_for_everybody(finished: Path) -> None:
    """Strict JSON: no NaN, no Infinity."""

    def refuse(word: str) -> None:
        raise AssertionError(word)

    for path in finished.rglob("*.json"):
        json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


@pytest.mark.slow
def test_prepare_in_a_process(six_people: Path, tmp_path: Path, logitleak: Process) -> None:
    """A damaged image is listed; Pillow's own warnings are not."""
    root = shutil.copytree(six_people, tmp_path / "people")
    (root / "person-00" / "0.png").write_bytes(b"")
    done = logitleak("data", "prepare", "folder", "--root", root)
    assert (done.returncode, done.stderr) == (0, "")
    assert "skipped person-00/0.png: not a readable image" in done.stdout


def test_interruption(
    config_file: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from logitleak.stages import run

    def interrupt(*arguments: Any, **settings: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "federate", interrupt)
    with pytest.raises(SystemExit) as caught:
        cli.main(["run", str(config_file()), "--out", str(tmp_path / "run"), "--quiet"])
    assert caught.value.code == 130
    assert capsys.readouterr().err == "Interrupted; the same command goes on from here.\n"
