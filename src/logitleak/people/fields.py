"""Smooth scalar fields and colors: the small vocabulary in which people are painted."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
"""Float32 array; every function of this package says its shape."""

_TABLE_SIZE = 4096
# One fixed table makes the noise the same on every machine and for every seed.
_TABLE = np.random.default_rng(12345).random(_TABLE_SIZE).astype(np.float32)


def ramp(low: float, high: float, value: Any) -> FloatArray:
    """Smooth step from 0 at ``low`` to 1 at ``high`` (``low > high`` gives a falling step)."""
    t = np.clip((np.asarray(value, np.float32) - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def bump(value: Any, width: float) -> FloatArray:
    """Bell curve exp(-(value / width)^2), 1 at zero."""
    return np.asarray(np.exp(-((np.asarray(value, np.float32) / width) ** 2)), np.float32)


def _hash(cells: npt.NDArray[np.int32], dx: int, dy: int, dz: int, seed: int) -> FloatArray:
    mixed = (cells[:, 0] + dx) * 1619 + (cells[:, 1] + dy) * 31337 + (cells[:, 2] + dz) * 6971 + seed * 1013
    return np.asarray(_TABLE[mixed & (_TABLE_SIZE - 1)], np.float32)


def value_noise(points: Any, seed: int = 0) -> FloatArray:
    """Smooth value noise in three dimensions.

    ``points`` is [N, 3], one noise cell per unit of length; the answer is [N] in [0, 1].
    """
    points = np.asarray(points, np.float32)
    floor = np.floor(points)
    cells = floor.astype(np.int32)
    t = points - floor
    t = t * t * (3 - 2 * t)
    x, y, z = t[:, 0], t[:, 1], t[:, 2]
    planes = []
    for dz in (0, 1):
        near = _hash(cells, 0, 0, dz, seed) * (1 - x) + _hash(cells, 1, 0, dz, seed) * x
        far = _hash(cells, 0, 1, dz, seed) * (1 - x) + _hash(cells, 1, 1, dz, seed) * x
        planes.append(near * (1 - y) + far * y)
    return np.asarray(planes[0] * (1 - z) + planes[1] * z, np.float32)


def stack3(x: Any, y: Any, z: Any) -> FloatArray:
    """Three equally long vectors (or numbers) as one float32 [N, 3]."""
    return np.stack(np.broadcast_arrays(x, y, z), axis=-1).astype(np.float32)


def linear(red: float, green: float, blue: float) -> FloatArray:
    """8-bit display color as a linear-light float32 [3] in [0, 1]."""
    return np.asarray((np.array((red, green, blue), np.float32) / 255) ** 2.2, np.float32)


def normalize(vectors: Any) -> FloatArray:
    """Rows scaled to length 1 (zero rows stay zero)."""
    vectors = np.asarray(vectors, np.float32)
    return np.asarray(vectors / (np.linalg.norm(vectors, axis=-1, keepdims=True) + 1e-9), np.float32)


def dot(vectors: FloatArray, direction: Any) -> FloatArray:
    """Scalar products [N] of rows [N, 3] with one direction [3].

    Written out on purpose: a threaded matrix product may round differently from run to run.
    """
    x, y, z = (np.float32(component) for component in direction)
    return np.asarray(vectors[:, 0] * x + vectors[:, 1] * y + vectors[:, 2] * z, np.float32)


def rotate(vectors: FloatArray, rotation: FloatArray) -> FloatArray:
    """Rows [N, 3] turned by a rotation matrix [3, 3] (each row becomes rotation @ row)."""
    return np.stack([dot(vectors, row) for row in rotation], axis=1)


def mix(first: Any, second: Any, amount: Any) -> FloatArray:
    """Blend two color arrays [N, 3]; ``amount`` [N] is 0 for the first and 1 for the second."""
    share = np.asarray(amount, np.float32)[..., None]
    return np.asarray(first * (1 - share) + second * share, np.float32)


def tint(color: FloatArray, amount: Any, factor: tuple[float, float, float]) -> FloatArray:
    """Multiply colors [N, 3] by ``factor`` where ``amount`` [N] is 1, leave them where it is 0."""
    share = np.asarray(amount, np.float32)[:, None]
    return np.asarray(color * (1 - share * (1 - np.array(factor, np.float32))), np.float32)
