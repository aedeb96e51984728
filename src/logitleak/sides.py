"""Which image sides networks that double a map can make."""

from __future__ import annotations

SIDES = tuple(
    first << doublings for doublings in range(2, 6) for first in range(4, 8) if first << doublings <= 128
)
"""A first map of 4 to 7 pixels, doubled: 16, 20, 24, 28, 32, 40, ..., 112, 128."""


def doublings(side: int) -> int:
    """How often the first map of a side in `SIDES` is doubled; it measures ``side >> doublings(side)``."""
    return (side // 4).bit_length() - 1
