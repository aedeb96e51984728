"""Masks modulo 2^m, expanded from secrets that two clients share, and words as they travel."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

_WIDE = 8
"""Bytes of a word in memory, however few travel."""


def expand(secret: bytes, name: str, count: int, width: int) -> Words:
    """Words that look uniform to whoever lacks the secret, by SHAKE-256; uint64 [count], each below 256^``width``.

    Args:
        secret: 32 bytes.
        name: what the mask is for; no two uses may have the same.
        count: how many.
        width: bytes of a word.
    """
    return unpack(hashlib.shake_256(secret + name.encode()).digest(count * width), width)


def pack(words: Words, width: int) -> bytes:
    """The low ``width`` bytes of every word, little-endian."""
    return words.astype("<u8").view(np.uint8).reshape(-1, _WIDE)[:, :width].tobytes()


def unpack(raw: bytes, width: int) -> Words:
    """What `pack` packed, uint64 [n]."""
    wide = np.zeros((len(raw) // width, _WIDE), np.uint8)
    wide[:, :width] = np.frombuffer(raw, np.uint8).reshape(-1, width)
    return wide.reshape(-1).view("<u8").astype(np.uint64)


def reduce(words: Words, width: int) -> Words:
    """The same words modulo 256^``width``."""
    return words & np.uint64(256**width - 1)


def centered(words: Words, width: int) -> NDArray[np.int64]:
    """Words modulo 256^``width`` as the whole numbers around 0 that they stand for, int64 [n]."""
    whole = words.astype(np.int64)
    return np.where(whole >= 256**width // 2, whole - 256**width, whole)


def pairwise(client: int, others: Iterable[int], mask: Callable[[int, int], Words]) -> Words | int:
    """What a client adds to its words for its masks with some others: of every pair the one with the lower number adds
    the mask, and the other takes it away.

    Args:
        client: whose sum this is.
        others: the others.
        mask: the mask of a pair, lower number first.
    """
    total: Words | int = 0
    for other in others:
        shared = mask(min(client, other), max(client, other))
        total = total + shared if client < other else total - shared  # uint64 wraps, and so does the sum
    return total
