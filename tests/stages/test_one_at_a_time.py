"""Two processes on one run folder: one works, the other is refused in one line, at once."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import logitleak
from logitleak.files.lock import alone
from logitleak.stages.record import import_recorded
from logitleak.stages.run import write_report

Config = Callable[..., dict[str, Any]]


@pytest.mark.slow
def test_three_at_once(tmp_path: Path, tiny_config: Config) -> None:
    config = tiny_config()
    config["federation"]["rounds"] = 8
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "logitleak", "run", str(file), "--out", str(tmp_path / "run"), "--quiet"]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]
    ended = [(process, process.communicate()[1]) for process in started]
    assert sorted(process.returncode for process, _ in ended) == [0, 2, 2]
    (winner,) = (process.pid for process, _ in ended if process.returncode == 0)
    for process, said in ended:
        expected = rf"logitleak: Process {winner} is at work in [^\n]+; wait until it is done, [^\n]+\n"
        assert process.returncode == 0 or re.fullmatch(expected, said), said
    assert (tmp_path / "run" / "report.html").exists()
    assert not list(tmp_path.rglob("*.partial"))
    assert not list(tmp_path.rglob("*.lock"))


def run_again(run: Path, config: dict[str, Any]) -> None:
    logitleak.run(config, run)


def overwrite(run: Path, config: dict[str, Any]) -> None:
    logitleak.run(config | {"seed": 5}, run, overwrite=True)


def attack_it(run: Path, config: dict[str, Any]) -> None:
    from logitleak.config import AttackConfig
    from logitleak.stages.run import attack_run

    attack_run(run, "again", AttackConfig(attack="ridge"))


def report(run: Path, config: dict[str, Any]) -> None:
    write_report(run)


def import_there(run: Path, config: dict[str, Any]) -> None:
    import_recorded(run.parent / "wire", run, overwrite=True)


@pytest.mark.parametrize("command", [run_again, overwrite, attack_it, report, import_there])
def test_every_command_that_writes_is_refused_at_once(
    command: Callable[[Path, dict[str, Any]], None], finished_run: Path, tiny_config: Config
) -> None:
    import shutil

    shutil.copytree(finished_run / "wire", finished_run.parent / "wire")
    config = tiny_config() | {"attacks": ["ridge"]}

    def stamps() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in finished_run.rglob("*")}

    before, start = stamps(), time.monotonic()
    with alone(finished_run), pytest.raises(logitleak.UserError, match="is at work in"):
        command(finished_run, config)
    assert time.monotonic() - start < 5
    assert stamps() == before
    command(finished_run, config)


def test_what_a_killed_process_left_is_removed(finished_run: Path, tiny_config: Config) -> None:
    dead = subprocess.Popen([sys.executable, "-S", "-c", ""])
    dead.wait()
    left = [
        finished_run / name
        for name in (f".run.json.{dead.pid}.partial", f"figures/.a.svg.{dead.pid}.partial")
    ]
    kept = finished_run / "attacks" / "ridge" / ".mine.partial"
    for path in (*left, kept):
        path.write_text("half")
    logitleak.run(tiny_config() | {"attacks": ["ridge"]}, finished_run)
    assert not any(path.exists() for path in left)
    assert kept.exists()
