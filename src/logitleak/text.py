"""Text that somebody else wrote, made fit to be shown, and the word for what is audited."""

from __future__ import annotations

import re


def printable(text: str, most: int = 120) -> str:
    """A stranger's text, made fit for a log, a table and a terminal: one short line of printable characters."""
    line = "".join(c if c.isprintable() else " " for c in text[: 4 * most])
    return " ".join(line.split())[:most]


def as_counted(name: str) -> list[tuple[int, str]]:
    """A key that sorts names as people count: img2 before img10."""
    parts = re.split(r"([0-9]{1,18})", name)
    return [(int(part), "") if part.isascii() and part.isdigit() else (-1, part) for part in parts]


def is_number(text: str) -> bool:
    """Whether a cell of a table, or a label, is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


NOUN = r"^[a-z][a-z-]{0,29}$"
"""What a word for what is audited looks like: person, class, product."""


def noun_of(said: object) -> str:
    """The word that somebody gave for what is audited; person where they gave none, or none that can be shown."""
    return said if isinstance(said, str) and re.match(NOUN, said) else "person"


def plural(noun: str) -> str:
    """Such as people, classes, bodies, products."""
    if noun == "person":
        return "people"
    if noun.endswith(("s", "x", "ch", "sh")):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}s"
