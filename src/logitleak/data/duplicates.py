"""Near-duplicates: images that nearly repeat another one, which blur what private and public mean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from logitleak.data.base import Dataset

_BITS = 128  # of the difference hash: 8 x 8 steps to the right, and 8 x 8 down
_APART = 12  # the most bits in which two near-duplicates differ; recompression changes up to 12
_ALIKE = (
    0.99  # the least correlation of their thumbnails, without which smooth images seem to repeat each other
)
_THUMB = 16  # side of the thumbnails
_BLOCK = 4096  # images compared with as many others at once: matrices of 64 MiB

Floats = np.ndarray[Any, np.dtype[np.float32]]


class Kind(IntEnum):
    """How a repeated image matters, the worst last."""

    SAME = 1
    """the same person in the same domain"""
    DOMAIN = 2
    """the same person in the other domain: public and private at once"""
    PERSON = 3
    """another person: one of the two labels is wrong, or both are in the picture"""


@dataclass(frozen=True)
class Repeat:
    """An image that nearly repeats an earlier one; both are named by their files."""

    file: str
    of: str
    kind: Kind


def near_duplicates(dataset: Dataset) -> list[Repeat]:
    """Every image that nearly repeats an earlier one, once, with the worst kind that is found; the worst first.

    Two images count when their 128-bit difference hashes differ in at most 12 bits and their 16x16 gray
    thumbnails correlate by 0.99 or more: recompressed, resized and brightened copies do, other shots of one
    person rarely. Time grows with the square of the number of images: a second for 10,000.
    """
    sets = [images for images in (dataset.sensitive, dataset.insensitive) if images is not None]
    files = [file for images in sets for file in images.files]
    people = np.unique([name for images in sets for name in images.identities], return_inverse=True)[1]
    domain = np.repeat(np.arange(len(sets)), [len(images) for images in sets])
    looks = [_looks(images.pixels) for images in sets]
    hashes, thumbs = (np.concatenate(parts) for parts in zip(*looks, strict=True))

    kinds, partners = np.zeros(len(files), int), np.zeros(len(files), int)
    for rows, columns in _candidates(hashes):
        alike = thumbs[rows] @ thumbs[columns].T >= _ALIKE
        bits = hashes[rows] @ hashes[columns].T >= _BITS - 2 * _APART
        pairs = alike & bits & (rows[:, None] < columns)
        kind = np.where(domain[rows][:, None] != domain[columns], Kind.DOMAIN, Kind.SAME)
        kind = np.where(people[rows][:, None] != people[columns], Kind.PERSON, kind) * pairs
        best = kind.argmax(0)
        worse = kind.max(0) > kinds[columns]
        kinds[columns[worse]] = kind.max(0)[worse]
        partners[columns[worse]] = rows[best[worse]]
    repeats = [Repeat(files[i], files[partners[i]], Kind(kinds[i])) for i in np.flatnonzero(kinds)]
    return sorted(repeats, key=lambda repeat: (-repeat.kind, repeat.file))


def _candidates(hashes: Floats) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows and columns of which some pair has nearly the same hash, in blocks."""
    for top in range(0, len(hashes), _BLOCK):
        for left in range(top, len(hashes), _BLOCK):
            near = hashes[top : top + _BLOCK] @ hashes[left : left + _BLOCK].T >= _BITS - 2 * _APART
            if left == top:
                np.fill_diagonal(near, False)
            if near.any():
                yield top + np.flatnonzero(near.any(1)), left + np.flatnonzero(near.any(0))


def _looks(pixels: np.ndarray) -> tuple[Floats, Floats]:
    """The hashes of images as ±1 [n, 128], and their thumbnails, centered and of norm 1, [n, 256]."""
    hashes = np.empty((len(pixels), _BITS), np.float32)
    thumbs = np.empty((len(pixels), _THUMB**2), np.float32)
    for start in range(0, len(pixels), 1024):  # floats take 16 times the memory of a gray byte
        rows = slice(start, start + 1024)
        gray = pixels[rows].mean(1, dtype=np.float32)
        right = np.diff(_shrunk(gray, 8, 9), axis=2) > 0
        down = np.diff(_shrunk(gray, 9, 8), axis=1) > 0
        hashes[rows] = (
            np.concatenate([right.reshape(len(gray), -1), down.reshape(len(gray), -1)], 1) * 2.0 - 1
        )
        small = _shrunk(gray, _THUMB, _THUMB).reshape(len(gray), -1)
        small = small - small.mean(1, keepdims=True)
        thumbs[rows] = small / np.maximum(np.linalg.norm(small, axis=1, keepdims=True), 1e-6)
    return hashes, thumbs


def _shrunk(gray: Floats, height: int, width: int) -> Floats:
    """Images [n, H, W] by area to [n, height, width]."""
    down, right = _areas(gray.shape[1], height), _areas(gray.shape[2], width)
    return np.einsum("ih,nhw,jw->nij", down, gray, right, optimize=True)


def _areas(old: int, new: int) -> Floats:
    """The share of every old pixel in every new one, [new, old]; rows sum to 1."""
    edges, pixels = np.linspace(0, old, new + 1), np.arange(old)
    inside = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return (inside.clip(0) * new / old).astype(np.float32)
