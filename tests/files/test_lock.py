"""One process at a time, and what it says to the others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from logitleak.errors import UserError
from logitleak.files.lock import Locked, alone, locked

HOLD = """
import sys, time
from pathlib import Path
from logitleak.files.lock import alone
with alone(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    """Another process that is at work in a folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    return process


def test_the_other_process_is_named_and_the_lock_dies_with_it(tmp_path: Path) -> None:
    process = holder(tmp_path / "run")
    try:
        with pytest.raises(
            UserError, match=f"^Process {process.pid} is at work in .*; wait until it is done"
        ):
            alone(tmp_path / "run").__enter__()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    with alone(tmp_path / "run"):
        pass


def test_nothing_is_left(tmp_path: Path) -> None:
    with alone(tmp_path / "run"):
        assert [path.name for path in tmp_path.iterdir()] == [".run.lock"]
        assert (tmp_path / ".run.lock").read_text() == f"{os.getpid()}\n"
    assert list(tmp_path.iterdir()) == []


def test_folders_above_stay_only_where_they_are_of_use(tmp_path: Path) -> None:
    with alone(tmp_path / "a" / "b" / "run"):
        assert (tmp_path / "a" / "b").is_dir()
    assert list(tmp_path.iterdir()) == []
    with alone(tmp_path / "a" / "b" / "run"):
        (tmp_path / "a" / "mine").touch()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["mine"]


def test_a_folder_by_any_of_its_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to("run")
    monkeypatch.chdir(tmp_path / "run")
    with alone(tmp_path / "run"):
        for name in ("link", "run/../run", "run/."):
            with pytest.raises(UserError, match=f"Process {os.getpid()} is at work"):
                alone(tmp_path / name).__enter__()
        with pytest.raises(UserError, match="is at work"):
            alone(Path(".")).__enter__()


def test_a_replaced_folder_is_still_held(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with alone(tmp_path / "run"):
        (tmp_path / "run").rename(tmp_path / "old")
        (tmp_path / "run").mkdir()
        with pytest.raises(UserError, match="is at work"):
            alone(tmp_path / "run").__enter__()


def test_a_lock_that_was_removed_while_somebody_waited(tmp_path: Path) -> None:
    """Who gets a lock of a file that is gone takes a new one: else two would hold it."""
    path = tmp_path / ".lock"
    with locked(path):
        path.unlink()
        with locked(path), pytest.raises(Locked):
            locked(path, wait=False).__enter__()
        assert not path.exists()
        path.write_text("somebody else's")
    assert path.read_text() == "somebody else's"


@pytest.mark.usefixtures("plain_rights")
def test_a_folder_in_one_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    tmp_path.chmod(0o500)
    with alone(tmp_path / "run"), pytest.raises(UserError, match="is at work"):
        alone(tmp_path / "run").__enter__()
    tmp_path.chmod(0o700)
    assert list((tmp_path / "run").iterdir()) == []


WORK = """
import os, sys
from pathlib import Path
from logitleak.files.lock import locked
for _ in range(40):
    with locked(Path(sys.argv[1]) / ".lock"):
        file = Path(sys.argv[1]) / "count"
        file.write_text(str(int(file.read_text()) + 1))
"""


def test_who_waits_gets_it_in_turn(tmp_path: Path) -> None:
    (tmp_path / "count").write_text("0")
    workers = [subprocess.Popen([sys.executable, "-c", WORK, str(tmp_path)]) for _ in range(4)]
    assert [worker.wait() for worker in workers] == [0] * 4
    assert (tmp_path / "count").read_text() == "160"
