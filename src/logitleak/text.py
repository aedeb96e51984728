"""Text that somebody else wrote, made fit to be shown."""

from __future__ import annotations


def printable(text: str, most: int = 120) -> str:
    """A stranger's text, made fit for a log, a table and a terminal: one short line of printable characters."""
    line = "".join(c if c.isprintable() else " " for c in text[: 4 * most])
    return " ".join(line.split())[:most]
