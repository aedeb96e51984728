"""Paths in a capture: names are given by a stranger, and none may lead out of the folder."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from logitleak.errors import UserError

DESCRIPTIONS = ("capture.yaml", "capture.yml", "capture.json")
"""How the description of a capture may be called."""

_FIELD = re.compile(r"\{(round|client)(?::0(\d))?\}")


def check_relative(path: str) -> str:
    """The path as it is.

    Raises:
        ValueError: it is absolute, climbs out of its folder, or holds what no file name has.
    """
    if not path or "\0" in path or "\\" in path or PurePosixPath(path).is_absolute():
        raise ValueError("must be a path inside the capture, with slashes")
    if ".." in PurePosixPath(path).parts:
        raise ValueError('must stay inside the capture, without ".."')
    return path


def check_pattern(pattern: str) -> str:
    """A pattern such as ``logits/round-{round:03}/client-{client}.npz``, as it is.

    Raises:
        ValueError: it is no path of the capture, or has other fields than round and client.
    """
    check_relative(pattern)
    rest = _FIELD.sub("", pattern)
    if "{" in rest or "}" in rest:
        raise ValueError(
            "may hold {round} and {client}, padded with zeros as in {round:03}, and no other field"
        )
    return pattern


def fill(pattern: str, round: int, client: int | str | None = None) -> str:
    """The file name of a round and a client. Never ``str.format``, whose fields reach into objects."""
    values: dict[str, int | str | None] = {"round": round, "client": client}
    return _FIELD.sub(lambda match: _padded(values[match[1]], int(match[2] or 0)), pattern)


def has_field(pattern: str, name: str) -> bool:
    """Whether a pattern differs by ``round`` or ``client``."""
    return any(match[1] == name for match in _FIELD.finditer(pattern))


def inside(root: Path, relative: str) -> Path:
    """A path in a folder, symbolic links followed.

    Raises:
        UserError: it leads out of the folder.
    """
    try:
        path = (root / check_relative(relative)).resolve()
        home = root.resolve()
    except (ValueError, OSError, RuntimeError) as error:  # a loop of links
        raise UserError(f"{relative!r:.100} is no path in the folder ({error}).") from None
    if not path.is_relative_to(home):
        raise UserError(f"{relative!r:.100} is a link out of the folder; put the file itself there.")
    return path


def _padded(value: int | str | None, width: int) -> str:
    return str(value).zfill(width) if isinstance(value, int) else str(value)
