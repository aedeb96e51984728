"""One process at a time: a lock file that is let go with the process, and says which process holds it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from logitleak.errors import UserError


class Locked(BlockingIOError):
    """Somebody else holds a lock. ``holder`` says who, such as "process 4711"."""

    def __init__(self, holder: str) -> None:
        super().__init__(f"locked by {holder}")
        self.holder = holder


@contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold a lock file; it is let go with the process, however that ends, and removed when the block is done.

    Args:
        path: the lock; its folder is created.
        wait: whether to wait for whoever holds it.

    Raises:
        Locked: somebody else holds it, and ``wait`` is false.
    """
    lock = _take(path, wait)
    try:
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield
    finally:
        if _is_at(
            path, lock
        ):  # removed while it is locked: whoever waited for it sees that, and takes a new one
            with suppress(OSError):
                path.unlink()
        lock.close()


@contextmanager
def alone(folder: Path, wait: bool = False) -> Iterator[None]:
    """Be the only process that works on a folder, which need not exist, and may be replaced meanwhile.

    Args:
        folder: what is worked on.
        wait: whether to wait for whoever works on it now.

    Raises:
        UserError: another process is at work there, and ``wait`` is false; or there can be no such folder.
    """
    place = folder.resolve()
    path = place.parent / f".{place.name}.lock"  # beside it: inside, it would go when the folder is replaced
    if place.is_dir() and not os.access(place.parent, os.W_OK):
        path = place / LOCK  # such a folder cannot be replaced, for example because it is mounted
    missing = [above for above in (path.parent, *path.parent.parents) if not above.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UserError(
            f"{folder} cannot be made: there is a file in its path; use another folder."
        ) from None
    try:
        with locked(path, wait):
            yield
    except Locked as taken:
        raise UserError(
            f"{taken.holder.capitalize()} is at work in {folder}; wait until it is done, or use another folder."
        ) from None
    finally:
        for above in missing:  # a mistake leaves nothing
            with suppress(OSError):
                above.rmdir()


LOCK = ".lock"
"""What a lock within a folder is called."""


def _take(path: Path, wait: bool) -> IO[str]:
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock = path.open("a+", encoding="utf-8")
        except FileNotFoundError:  # whoever made the folder had no use for it, and removed it
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            lock.seek(0)
            number = lock.read(20).strip()
            lock.close()
            raise Locked(f"process {number}" if number.isdecimal() else "another process") from None
        except BaseException:
            lock.close()
            raise
        if _is_at(path, lock):
            return lock
        lock.close()  # its holder removed it when it was done


def _is_at(path: Path, lock: IO[str]) -> bool:
    """Whether the file that is open is still the one of that name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(lock.fileno()))
    except OSError:
        return False
