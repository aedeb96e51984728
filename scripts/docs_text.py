"""Text of docstrings as Markdown, for the pages that are written from the code."""

from __future__ import annotations

import re


def prose(text: str) -> str:
    """Text of a docstring as Markdown on one line; outside of `code` and *emphasis*, nothing in it is markup."""
    text = re.sub(r"``(.*?)``", r"`\1`", " ".join(text.split()))
    pieces = re.split(r"(`[^`]*`|(?<![\w*])\*{1,2}\w[^*]*\*{1,2}(?![\w*]))", text)
    pieces[::2] = [_plain(piece) for piece in pieces[::2]]
    return "".join(pieces)


def _plain(text: str) -> str:
    """Text without markup, and a page that it names as a link."""
    text = re.sub(r"([*_|<>\[\]])", r"\\\1", text)
    return re.sub(r"docs/([\w-]+)\.md", r"[\1](../\1.md)", text)


def code(text: str) -> str:
    """Text as code in a cell of a table."""
    return f"`{text}`" if text else ""


def sentence(text: str) -> str:
    """The same text with a capital and a full stop, and without one where there is no text."""
    text = text.strip()
    if not text:
        return ""
    first = text[0].upper() if text[:2].islower() or text[1:2] in " '" else text[0]
    return first + text[1:] + ("" if text.endswith((".", "?", "!", ":")) else ".")


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
