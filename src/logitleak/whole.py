"""Whole folders or none: a folder is filled under a temporary name beside its place, and then put there."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Where to make a folder. It appears under its name when the block is done; if that fails, all is as it was.

    Args:
        path: where it belongs; an absolute path. A folder that is there is replaced.
    """
    partial = _beside(path, "partial")
    try:
        yield partial
        if path.is_dir() and not any(path.iterdir()):
            _fill(path, partial)
        else:
            _replace(path, partial)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def mend(path: Path) -> None:
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
        partial.rename(path)
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
