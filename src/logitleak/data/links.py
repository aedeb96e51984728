"""Links: an image that is reached by two names would be on two sides, private and public or of two classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from logitleak.data.base import Skipped
from logitleak.errors import UserError

Files = Sequence[tuple[str, Path]]


def once(root: Path, files: Files) -> tuple[list[tuple[str, Path]], list[Skipped]]:
    """Files without those that are there already under another name, in their order, and those that are left out.

    Of several names the one that no link is on the way of is kept, else the first.

    Args:
        root: the data set's folder; names are relative to it.
        files: (identity, path) of every image.
    """
    real, own = _real(files), root.resolve()
    linked = [place != own / path.relative_to(root) for (_, path), place in zip(files, real, strict=True)]
    kept: dict[Path, int] = {}
    for i in sorted(range(len(files)), key=lambda i: linked[i]):
        kept.setdefault(real[i], i)
    skipped = [
        Skipped(_name(path, root), f"is {_name(files[kept[place]][1], root)} again, by a link")
        for i, ((_, path), place) in enumerate(zip(files, real, strict=True))
        if kept[place] != i
    ]
    return [files[i] for i in sorted(kept.values())], skipped


def check_apart(first: Files, second: Files, what: str) -> None:
    """Raise a `UserError` where a file is in both sets.

    Args:
        first, second: (identity, path) of every image.
        what: how the error calls the sets, as in "private and public".
    """
    there = dict(zip(_real(first), (path for _, path in first), strict=True))
    both = [
        (there[place], path) for (_, path), place in zip(second, _real(second), strict=True) if place in there
    ]
    if both:
        a, b = both[0]
        many = "1 image is" if len(both) == 1 else f"{len(both)} images are"
        raise UserError(f"{many} {what} at once, by links: {a} is {b}; remove the links.")


def _real(files: Files) -> list[Path]:
    """Where files are, links followed. Every folder is asked once."""
    folders: dict[Path, Path] = {}
    found = []
    for _, path in files:
        if path.parent not in folders:
            folders[path.parent] = path.parent.resolve()
        found.append(path.resolve() if path.is_symlink() else folders[path.parent] / path.name)
    return found


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
