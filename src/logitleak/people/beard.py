"""Beards: where hair grows on a face, and the shell it forms."""

from __future__ import annotations

import numpy as np

from logitleak.people.fields import FloatArray, ramp, value_noise
from logitleak.people.head import Head
from logitleak.people.identity import Identity
from logitleak.people.mesh import Patch, make_patch, vertex_normals
from logitleak.people.pieces import Material, Piece

_THICKNESS = {"full": 0.055, "long": 0.09, "goatee": 0.05, "circle": 0.05, "moustache": 0.045}
_CHEEK_LINE_X = (0.0, 0.2, 0.3, 0.45, 0.6, 0.72)
_CHEEK_LINE_Y = (6.55, 6.6, 6.72, 6.72, 6.86, 7.15)


def beard_cover(kind: str, rest: FloatArray, lips: FloatArray) -> FloatArray:
    """How densely a beard of this kind grows at points [N, 3] of the rest head, [N] in [0, 1].

    ``lips`` [N] is the lip mask of the same points.
    """
    x, y, z = np.abs(rest[:, 0]), rest[:, 1], rest[:, 2]
    cheek_line = np.interp(x, _CHEEK_LINE_X, _CHEEK_LINE_Y)
    lower_edge = ramp(5.98, 6.2, y + 0.25 * np.clip(z - 1.2, -1, 1))
    jaw = ramp(0.03, -0.06, y - cheek_line) * lower_edge * ramp(0.72, 0.95, z)
    upper_lip = ramp(0.34, 0.26, x) * ramp(6.705, 6.735, y) * ramp(6.85, 6.79, y) * (z > 1.2)
    corners = ramp(0.36, 0.3, x) * ramp(0.2, 0.25, x) * ramp(6.45, 6.5, y) * ramp(6.8, 6.74, y) * (z > 1.1)
    moustache = np.maximum(upper_lip, corners)
    around_lips = ramp(1.15, 0.9, np.hypot(x / 0.25, (y - 6.6) / 0.14)) * (y < 6.8)
    chin = ramp(0.34, 0.26, x) * ramp(6.05, 6.15, y) * ramp(6.47, 6.42, y) * (z > 1.0)
    if kind in ("full", "long", "stubble"):
        cover = np.maximum(jaw * (1 - around_lips), moustache)
    elif kind == "moustache":
        cover = moustache * ramp(6.58, 6.64, y)
    elif kind == "circle":
        cover = np.maximum(chin, moustache)
    elif kind == "goatee":
        cover = np.maximum(chin, upper_lip * ramp(6.64, 6.7, y))
    else:
        cover = np.zeros_like(y)
    return np.asarray(cover * (1 - np.clip(lips, 0, 1)), np.float32)


class BeardShell:
    """The volume of a beard; it follows the skin, so it is placed anew for every expression."""

    def __init__(self, identity: Identity, head: Head, kind: str) -> None:
        """Prepare the shell of a ``kind`` other than "none" and "stubble"."""
        grows = beard_cover(kind, head.vertices, head.lips) > 0.02
        skin = head.skin_triangles()
        grows &= head.inner_mouth < 0.4
        self._skin = skin
        self._patch: Patch = make_patch(skin[grows[skin].all(axis=1)], 2)
        self._rest = self._patch.lift(head.vertices)
        cover = beard_cover(kind, self._rest, self._patch.lift(head.lips))
        noise = value_noise(self._rest * 14, identity.texture_seed)
        self._offset = (_THICKNESS[kind] * ramp(0, 0.8, cover) * (0.75 + 0.5 * noise))[:, None]
        hang = ramp(6.6, 6.15, self._rest[:, 1]) * (self._rest[:, 2] > 0.8)
        hang = hang * (0.22 if kind == "long" else 0.03)
        self._drop = hang * (0.75 + 0.5 * value_noise(self._rest * 6, identity.texture_seed + 3))

    @staticmethod
    def wanted(kind: str) -> bool:
        """Whether a beard of this kind has volume."""
        return kind in _THICKNESS

    def place(self, vertices: FloatArray) -> Piece:
        """The shell on a face with ``vertices`` [V, 3]."""
        normals = self._patch.lift(vertex_normals(vertices, self._skin))
        placed = self._patch.lift(vertices) + normals * self._offset
        placed[:, 1] -= self._drop
        return Piece(placed.astype(np.float32), self._rest, self._patch.triangles, Material.BEARD, self._rest)
