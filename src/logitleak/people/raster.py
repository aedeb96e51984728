"""A z-buffer rasterizer for triangle meshes, in numpy only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from logitleak.people.fields import FloatArray

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Discard = Callable[[IntArray, FloatArray], BoolArray]

# Pixels that lie on a shared edge belong to both triangles, so that no seam shows.
_EDGE_TOLERANCE = np.float32(-1e-5)
_SMALLEST_AREA = 1e-9


@dataclass(frozen=True)
class Raster:
    """What each pixel shows.

    ``triangle`` int64 [H*W] is the index of the nearest triangle, -1 where there is none; ``weights``
    float32 [H*W, 3] are its corner weights at the pixel center; ``depth`` float32 [H*W] is infinite
    where there is none. Pixels run row by row from the top left.
    """

    triangle: IntArray
    weights: FloatArray
    depth: FloatArray


@dataclass(frozen=True)
class _Fragments:
    """Every (triangle, pixel) pair that covers a pixel center."""

    triangle: IntArray
    pixel: IntArray
    weights: FloatArray


def rasterize(
    x: Any,
    y: Any,
    depth: Any,
    triangles: npt.NDArray[np.integer[Any]],
    width: int,
    height: int,
    *,
    cull: BoolArray | None = None,
    discard: Discard | None = None,
) -> Raster:
    """Find the nearest triangle at every pixel center.

    ``x``, ``y`` [V] are vertex positions in pixels (y grows downward, pixel centers at .5), ``depth`` [V]
    grows away from the camera, ``triangles`` is [T, 3]. Triangles with ``cull`` [T] set are dropped when
    they face away. ``discard(triangle, weights)`` gets fragments ([N] and [N, 3]) and says which are
    holes. Weights are not perspective-corrected: the cameras here are too far away for it to show.
    """
    corner_x = np.asarray(x, np.float32)[triangles]
    corner_y = np.asarray(y, np.float32)[triangles]
    fragments = _cover(corner_x, corner_y, width, height, cull)
    if discard is not None:
        fragments = _subset(fragments, ~discard(fragments.triangle, fragments.weights))
    corner_depth = np.asarray(depth, np.float32)[triangles]
    at = np.einsum("ij,ij->i", corner_depth[fragments.triangle], fragments.weights)
    return _nearest(fragments, at, width * height)


def _cover(
    corner_x: FloatArray, corner_y: FloatArray, width: int, height: int, cull: BoolArray | None
) -> _Fragments:
    ax, ay = corner_x[:, 0], corner_y[:, 0]
    area = (corner_x[:, 1] - ax) * (corner_y[:, 2] - ay) - (corner_x[:, 2] - ax) * (corner_y[:, 1] - ay)
    keep = np.abs(area) > _SMALLEST_AREA
    if cull is not None:
        keep &= ~(cull & (area > 0))  # y points down, so a front face has negative area
    left, right = _pixel_range(corner_x, width)
    top, bottom = _pixel_range(corner_y, height)
    keep &= (right >= left) & (bottom >= top)
    kept = np.nonzero(keep)[0]
    columns = (right - left + 1)[kept]
    boxes = columns * (bottom - top + 1)[kept]
    local = np.repeat(np.arange(len(kept)), boxes)
    offset = np.arange(len(local)) - np.repeat(np.cumsum(boxes) - boxes, boxes)
    row = offset // columns[local]
    px = left[kept][local] + offset - row * columns[local]
    py = top[kept][local] + row
    weights = _weights(corner_x[kept], corner_y[kept], area[kept], local, px, py)
    inside = np.all([weights[:, k] >= _EDGE_TOLERANCE for k in range(3)], axis=0)
    return _Fragments(kept[local[inside]], (py * width + px)[inside], weights[inside])


def _pixel_range(corner: FloatArray, size: int) -> tuple[IntArray, IntArray]:
    """First and last pixel whose center may lie in a triangle, for one coordinate of its corners [T, 3]."""
    # Column by column: numpy is slow at reducing over an axis of three.
    a, b, c = corner[:, 0], corner[:, 1], corner[:, 2]
    low, high = np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)
    first = np.maximum(np.ceil(low - 0.5), 0).astype(np.int64)
    last = np.minimum(np.floor(high - 0.5), size - 1).astype(np.int64)
    return first, last


def _weights(
    corner_x: FloatArray, corner_y: FloatArray, area: FloatArray, local: IntArray, px: IntArray, py: IntArray
) -> FloatArray:
    """Corner weights at pixel centers, as affine functions of the pixel."""
    dx = px.astype(np.float32) + np.float32(0.5) - corner_x[local, 0]
    dy = py.astype(np.float32) + np.float32(0.5) - corner_y[local, 0]
    scale = 1 / area
    edge = [(corner_x[:, k] - corner_x[:, 0]) * scale for k in (1, 2)]
    rise = [(corner_y[:, k] - corner_y[:, 0]) * scale for k in (1, 2)]
    second = dx * rise[1][local] - dy * edge[1][local]
    third = dy * edge[0][local] - dx * rise[0][local]
    return np.stack([1 - second - third, second, third], axis=1)


def _subset(fragments: _Fragments, keep: BoolArray) -> _Fragments:
    return _Fragments(fragments.triangle[keep], fragments.pixel[keep], fragments.weights[keep])


def _nearest(fragments: _Fragments, depth: FloatArray, pixels: int) -> Raster:
    # Far to near: of several writes to one pixel the last, nearest one stays.
    order = np.argsort(-depth, kind="stable")
    winner = np.full(pixels, -1, np.int64)
    winner[fragments.pixel[order]] = order
    hit = winner >= 0
    triangle = np.full(pixels, -1, np.int64)
    triangle[hit] = fragments.triangle[winner[hit]]
    weights = np.zeros((pixels, 3), np.float32)
    weights[hit] = fragments.weights[winner[hit]]
    nearest = np.full(pixels, np.inf, np.float32)
    nearest[hit] = depth[winner[hit]]
    return Raster(triangle, weights, nearest)
