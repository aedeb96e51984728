"""What is wrong, or odd, with what was recorded: all of it, not the first thing only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from logitleak.errors import UserError
from logitleak.text import printable

Level = Literal["error", "warning"]

_MOST_KEPT = 1000
_LONGEST_PLACE, _LONGEST = 300, 500  # characters


@dataclass(frozen=True)
class Finding:
    """An error stops an import; a warning does not.

    Attributes:
        level: how bad it is.
        where: the file or setting that it is about.
        what: what is wrong, and what to do; like ``where`` one line that a terminal can show.
    """

    level: Level
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.level:<8} {self.where}: {self.what}"


class Findings:
    """Collects findings; a damaged capture may have one for each of its files, so the first thousand are kept."""

    def __init__(self) -> None:
        self.kept: list[Finding] = []
        self.errors = 0
        self.warnings = 0

    def error(self, where: str, what: object) -> None:
        """Note something that stops an import."""
        self.errors += 1
        self._keep("error", where, what)

    def warn(self, where: str, what: object) -> None:
        """Note something that does not."""
        self.warnings += 1
        self._keep("warning", where, what)

    @contextmanager
    def at(self, where: str) -> Iterator[None]:
        """Turn a `UserError` of this block into an error found there."""
        try:
            yield
        except UserError as error:
            self.error(where, error)

    def lines(self) -> list[str]:
        """Errors first, then warnings, one line each, and how many were not kept."""
        ordered = sorted(self.kept, key=lambda finding: finding.level)
        more = self.errors + self.warnings - len(self.kept)
        return [str(finding) for finding in ordered] + ([f"... and {more} more"] if more else [])

    def summary(self) -> str:
        """Such as "1 error, 2 warnings"."""
        return f"{count(self.errors, 'error')}, {count(self.warnings, 'warning')}"

    def _keep(self, level: Level, where: str, what: object) -> None:
        """Names and texts of a stranger are among both, and will be printed."""
        if len(self.kept) < _MOST_KEPT:
            self.kept.append(Finding(level, printable(where, _LONGEST_PLACE), printable(str(what), _LONGEST)))


def count(number: int, noun: str) -> str:
    """Such as "1 error" and "2 errors"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def listed(items: list[str], most: int = 5) -> str:
    """The first few of a list, and how many more there are."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
