"""Text of a stranger is shown, and does nothing else."""

from __future__ import annotations

import pytest

from logitleak.text import printable


def test_a_strangers_text_becomes_one_short_line() -> None:
    assert printable("a\nb\x1b[31m\tc") == "a b [31m c"
    assert len(printable("x" * 10**6)) == 120


@pytest.mark.parametrize("text", ["\udcff", "\x9b31m", "\u202e", "\x7f", "\u2028"])
def test_what_no_terminal_should_get(text: str) -> None:
    """Bytes that are no UTF-8, control characters of eight bits, and text that runs backwards."""
    shown = printable(f"a{text}b")
    assert text not in shown
    assert shown.encode("utf-8").startswith(b"a ")
