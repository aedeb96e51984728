"""The one error a user can cause."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """Something the user can mend. The message is one line: what is wrong, and what to do.

    The command line prints it and exits with code 2; it never shows a traceback.
    """


def to_install(extra: str) -> str:
    """How an extra is installed, for the end of a message."""
    return f'pip install ".[{extra}]" in the checkout, or pip install "logitleak[{extra}]"'


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A suggestion such as `` Did you mean "ridge"?``, or the list of what there is."""
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return f' Did you mean "{close[0]}"?'
    return f" There is: {', '.join(known)}." if known else ""
