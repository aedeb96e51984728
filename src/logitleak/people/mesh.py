"""Small operations on triangle meshes: normals, grids, patches and their subdivision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from logitleak.people.fields import FloatArray, normalize

Triangles = npt.NDArray[np.int32]


def vertex_normals(vertices: FloatArray, triangles: Triangles) -> FloatArray:
    """Area-weighted unit normals [V, 3] of a mesh with vertices [V, 3] and triangles [T, 3]."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    face = np.cross(b - a, c - a)
    corners = triangles.ravel()
    total = [np.bincount(corners, np.repeat(face[:, d], 3), len(vertices)) for d in range(3)]
    return normalize(np.stack(total, axis=1))


def grid_triangles(rows: int, columns: int) -> Triangles:
    """Triangles of a grid of ``rows`` x ``columns`` vertices, numbered row by row."""
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b = index[:-1, :-1].ravel(), index[:-1, 1:].ravel()
    c, d = index[1:, :-1].ravel(), index[1:, 1:].ravel()
    return np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)]).astype(np.int32)


@dataclass(frozen=True)
class Patch:
    """A finer piece of a coarser mesh.

    Vertex k of the patch is the mean of ``parents`` [P, 2^levels] of the coarse mesh; ``triangles``
    [T, 3] index the patch.
    """

    parents: npt.NDArray[np.int32]
    triangles: Triangles

    def lift(self, values: npt.NDArray[Any]) -> FloatArray:
        """Values [V, ...] of the coarse mesh at the vertices of the patch, [P, ...]."""
        return np.asarray(values[self.parents].mean(axis=1), np.float32)

    def smooth(self, values: FloatArray, rounds: int) -> FloatArray:
        """Values [P, 3] averaged with their neighbors ``rounds`` times; border vertices stay."""
        edges = np.concatenate(
            [self.triangles[:, [0, 1]], self.triangles[:, [1, 2]], self.triangles[:, [2, 0]]]
        )
        count = len(values)
        # Inside the patch every edge is met once in each direction; on the border only once.
        keys = edges[:, 0].astype(np.int64) * count + edges[:, 1]
        border = edges[~np.isin(edges[:, 1].astype(np.int64) * count + edges[:, 0], keys)]
        inner = np.ones(count, np.bool_)
        inner[border.ravel()] = False
        degree = np.maximum(np.bincount(edges[:, 0], minlength=count), 1)
        for _ in range(rounds):
            total = [np.bincount(edges[:, 0], values[edges[:, 1], d], count) for d in range(values.shape[1])]
            mean = np.stack(total, axis=1) / degree[:, None]
            values = np.where(inner[:, None], 0.5 * values + 0.5 * mean, values).astype(np.float32)
        return values


def make_patch(triangles: Triangles, levels: int) -> Patch:
    """Cut ``triangles`` (indices of a coarse mesh) out as a patch, split in four ``levels`` times."""
    ids, flat = np.unique(triangles, return_inverse=True)
    parents = ids.astype(np.int32)[:, None]
    current = flat.reshape(-1, 3).astype(np.int32)
    for _ in range(levels):
        parents, current = _split(parents, current)
    return Patch(parents, current)


def _split(parents: npt.NDArray[np.int32], triangles: Triangles) -> tuple[npt.NDArray[np.int32], Triangles]:
    count = len(parents)
    edges = np.sort(
        np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1
    )
    unique, index = np.unique(edges, axis=0, return_inverse=True)
    ab, bc, ca = (index.reshape(3, -1) + count).astype(np.int32)
    a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
    faces = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    finer = np.concatenate([np.stack(face, axis=1) for face in faces]).astype(np.int32)
    old = np.concatenate([parents, parents], axis=1)
    new = np.concatenate([parents[unique[:, 0]], parents[unique[:, 1]]], axis=1)
    return np.concatenate([old, new]), finer
