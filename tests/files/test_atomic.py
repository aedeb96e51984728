"""Whole folders or none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from logitleak.files.atomic import atomic_folder, clean, restore, write_atomic


def make(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "file").write_text(text)
    return folder


def fill(path: Path, error: BaseException | None = None) -> None:
    """Put two files there, or one and an error."""
    with atomic_folder(path) as folder:
        make(folder, "new")
        if error is not None:
            raise error
        (folder / "last").touch()


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def dead() -> int:
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize("before", [None, "empty", "old"])
def test_a_folder_takes_its_place(tmp_path: Path, before: str | None) -> None:
    if before == "old":
        make(tmp_path / "run", "old")
    elif before == "empty":
        (tmp_path / "run").mkdir()
    with atomic_folder(tmp_path / "run") as folder:
        make(folder, "new")
        (folder / "deep").mkdir()
    assert listing(tmp_path) == ["run"]
    assert listing(tmp_path / "run") == ["deep", "file"]
    assert (tmp_path / "run/file").read_text() == "new"


def test_an_empty_folder_stays_the_same_one(tmp_path: Path) -> None:
    """A shell may stand in it."""
    (tmp_path / "run").mkdir()
    number = (tmp_path / "run").stat().st_ino
    with atomic_folder(tmp_path / "run") as folder:
        make(folder, "new")
    assert (tmp_path / "run").stat().st_ino == number


@pytest.mark.parametrize("error", [OSError(28, "full"), KeyboardInterrupt()])
@pytest.mark.parametrize("before", [None, "old"])
def test_a_failure_changes_nothing(tmp_path: Path, before: str | None, error: BaseException) -> None:
    if before:
        make(tmp_path / "run", before)
    with pytest.raises(type(error)):
        fill(tmp_path / "run", error)
    assert listing(tmp_path) == (["run"] if before else [])
    assert not before or (tmp_path / "run/file").read_text() == before


@pytest.mark.parametrize("before", ["empty", "old"])
def test_a_failing_rename_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    make(tmp_path / "run", "old") if before == "old" else (tmp_path / "run").mkdir()
    rename = Path.rename

    def fail(self: Path, target: Path) -> Any:
        if target.name in ("run", "last") and self.name.endswith(("partial", "last")):
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="Input"):
        fill(tmp_path / "run")
    assert listing(tmp_path) == ["run"]
    assert listing(tmp_path / "run") == (["file"] if before == "old" else [])


def test_what_a_killed_process_left(tmp_path: Path, dead: int) -> None:
    for name in (f".run.{dead}.partial", f".run.{os.getpid()}.partial", f".run.{dead}.old", "run"):
        make(tmp_path / name, name)
    kept = [f".run.{os.getppid()}.partial", f".runs.{dead}.partial", ".run.x.partial"]
    for name in kept:
        make(tmp_path / name, name)
    restore(tmp_path / "run")
    assert listing(tmp_path) == sorted([*kept, "run"])
    assert (tmp_path / "run/file").read_text() == "run"


def test_an_old_folder_comes_back(tmp_path: Path, dead: int) -> None:
    """The process was killed after it had moved the old one, and before the new one was in its place."""
    make(tmp_path / f".run.{dead}.old", "old")
    make(tmp_path / f".run.{dead}.partial", "new")
    restore(tmp_path / "run")
    assert listing(tmp_path) == ["run"]
    assert (tmp_path / "run/file").read_text() == "old"


def test_nothing_to_mend(tmp_path: Path) -> None:
    restore(tmp_path / "nowhere" / "run")
    assert listing(tmp_path) == []


def test_it_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a power loss an empty file could have the name: data, then the name, then the folder's list of names."""
    done: list[tuple[str, str]] = []
    fsync, replace = os.fsync, os.replace

    def sync(number: int) -> None:
        done.append(("sync", Path(os.readlink(f"/proc/self/fd/{number}")).name))
        fsync(number)

    def rename(source: Path, target: Path) -> None:
        done.append(("name", Path(target).name))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", rename)
    write_atomic(tmp_path / "new" / "file", lambda target: target.write_text("text") and None)
    partial = f".file.{os.getpid()}.partial"
    assert done == [("sync", tmp_path.name), ("sync", partial), ("name", "file"), ("sync", "new")]


def test_a_folder_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync = os.fsync

    def sync(number: int) -> None:
        name = os.readlink(f"/proc/self/fd/{number}").removeprefix(str(tmp_path))
        done.append(f"{name} {(tmp_path / 'run').exists()}")
        fsync(number)

    monkeypatch.setattr(os, "fsync", sync)
    fill(tmp_path / "run")
    partial = f"/.run.{os.getpid()}.partial"
    assert sorted(done[:-1]) == [f"{partial} False", f"{partial}/file False", f"{partial}/last False"]
    assert done[-1] == " True"  # the folder that it is in


def test_clean(tmp_path: Path, dead: int) -> None:
    (tmp_path / "deep").mkdir()
    left = [f".a.json.{dead}.partial", f".b.{os.getpid()}.partial"]
    kept = [f".a.json.{os.getppid()}.partial", ".mine.partial", f"a.json.{dead}.partial"]
    for name in (*left, *kept):
        (tmp_path / "deep" / name).touch()
    clean(tmp_path)
    assert listing(tmp_path / "deep") == sorted(kept)
