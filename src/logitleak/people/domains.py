"""The domains a person can be pictured in."""

from __future__ import annotations

import difflib

DOMAINS = ("adult", "young", "masked")
"""``adult``: the plain picture; ``young``: the same person as a child; ``masked``: with a face mask."""


def check_domain(domain: str) -> str:
    """Return ``domain`` if it exists; otherwise ValueError with the nearest name."""
    if domain in DOMAINS:
        return domain
    near = difflib.get_close_matches(str(domain), DOMAINS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(DOMAINS)}"
    raise ValueError(f"unknown domain {domain!r}: {hint}")
