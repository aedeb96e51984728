"""Files and folders that are whole or not there: they are filled under a temporary name beside their place, and then
put there. What was put there stays, after a power loss too: it is on the disk before it gets its name."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def write_atomic(path: Path, write: Callable[[Path], None]) -> None:
    """Have ``write`` fill a temporary file beside ``path``, then rename it into place.

    Raises:
        OSError: it cannot be written; nothing is left of it, and what was there before stays.
    """
    make_folder(path.parent)
    temporary = _beside(path, "partial")
    try:
        write(temporary)
        sync(temporary)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk. Renaming alone orders nothing: after a power loss
    an empty file could have the name."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def make_folder(path: Path) -> None:
    """Make a folder with those above it, for good."""
    missing = [each for each in (path, *path.parents) if not each.is_dir()]
    path.mkdir(parents=True, exist_ok=True)
    for each in missing:
        sync(each.parent)


def move(source: Path, target: Path) -> None:
    """Rename a file or a folder, for good. What is in it was written whole, or is synced."""
    source.rename(target)
    sync(target.parent)


def sync_all(folder: Path) -> None:
    """Wait until everything in a folder is on the disk, whoever wrote it."""
    for path in (*folder.rglob("*"), folder):
        if not path.is_symlink():
            sync(path)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Where to make a folder. It appears under its name when the block is done; if that fails, all is as it was.

    Args:
        path: where it belongs; an absolute path. A folder that is there is replaced.
    """
    partial = _beside(path, "partial")
    try:
        yield partial
        sync_all(partial)
        if path.is_dir() and not any(path.iterdir()):
            _fill(path, partial)
        else:
            _replace(path, partial)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def clean(folder: Path) -> None:
    """Remove the half-written files that killed processes left in a folder and below."""
    for left in folder.rglob(".*.partial"):
        found = re.fullmatch(r"\..+\.([0-9]{1,9})\.partial", left.name)
        if found is not None and not left.is_dir() and not _at_work(int(found[1])):
            left.unlink(missing_ok=True)


def restore(path: Path) -> None:
    """Put right what a killed process left beside a folder: half of a new one is removed, and an old one that was
    out of the way for the new one comes back.

    Args:
        path: where the folder belongs; an absolute path.
    """
    for left in path.parent.iterdir() if path.parent.is_dir() else ():
        found = re.fullmatch(rf"\.{re.escape(path.name)}\.([0-9]{{1,9}})\.(partial|old)", left.name)
        if found is None or not left.is_dir() or _at_work(int(found[1])):
            continue
        if found[2] == "old" and not path.exists():
            left.rename(path)
        else:
            shutil.rmtree(left, ignore_errors=True)


def _fill(path: Path, partial: Path) -> None:
    """Use an empty folder, and do not replace it: a shell may stand in it. Folders go first, and files, which name
    what is there, last."""
    try:
        for entry in sorted(partial.iterdir(), key=lambda entry: (entry.is_file(), entry.name)):
            entry.rename(path / entry.name)
        sync(path)
    except BaseException:
        for entry in path.iterdir():
            entry.rename(partial / entry.name)
        raise


def _replace(path: Path, partial: Path) -> None:
    """The old folder, if there is one, goes when the new one is in its place."""
    old = _beside(path, "old")
    there = path.exists()
    if there:
        path.rename(old)
    try:
        move(partial, path)
    except BaseException:
        if there:
            old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _beside(path: Path, kind: str) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{kind}")


def _at_work(process: int) -> bool:
    """Whether a process other than this one is alive: in a container, the number of a dead one is soon ours."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return process != os.getpid()
