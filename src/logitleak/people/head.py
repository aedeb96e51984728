"""The head mesh that ships with the package and its shape targets."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from logitleak.people.fields import FloatArray
from logitleak.people.mesh import Triangles

ASSET_PATH = Path(__file__).parent / "assets" / "head.npz"

SKIN, EYE, TEETH, TONGUE = range(4)
"""Values of ``Head.part``."""

DELTA_UNIT = 1e-3
"""Target offsets are stored as whole multiples of this length (mesh units, about 10 cm each)."""


@dataclass(frozen=True)
class Head:
    """A head mesh in its rest shape, with named sparse offsets ("targets") that deform it.

    ``vertices`` float32 [V, 3] in mesh units (x to the person's left, y up, z forward), ``triangles``
    int32 [T, 3], ``part`` [T] (SKIN, EYE, TEETH, TONGUE), per-vertex masks in [0, 1] (``lips``, ``ears``,
    ``inner_mouth``), baked sky visibility ``ambient`` [V], and the vertex indices of a few landmarks.
    """

    vertices: FloatArray
    triangles: Triangles
    part: npt.NDArray[np.int8]
    lips: FloatArray
    ears: FloatArray
    inner_mouth: FloatArray
    ambient: FloatArray
    left_eye: npt.NDArray[np.int32]
    right_eye: npt.NDArray[np.int32]
    pivot: npt.NDArray[np.int32]
    chin: int
    target_names: tuple[str, ...]
    _target_start: npt.NDArray[np.int32] = field(repr=False)
    _target_vertex: npt.NDArray[np.int32] = field(repr=False)
    _target_delta: npt.NDArray[np.int16] = field(repr=False)
    _target_index: dict[str, int] = field(repr=False)

    def add_target(self, vertices: FloatArray, name: str, weight: float) -> None:
        """Add ``weight`` times target ``name`` to ``vertices`` [V, 3] in place.

        A weight of zero changes nothing, whatever the name; otherwise an unknown name is a KeyError.
        """
        if abs(weight) < 1e-4:
            return
        index = self._target_index[name]
        rows = slice(self._target_start[index], self._target_start[index + 1])
        vertices[self._target_vertex[rows]] += self._target_delta[rows] * np.float32(weight * DELTA_UNIT)

    def skin_triangles(self) -> Triangles:
        """Triangles of the skin only, int32 [S, 3]."""
        return np.asarray(self.triangles[self.part == SKIN], np.int32)

    def skin_vertices(self) -> npt.NDArray[np.bool_]:
        """Which vertices belong to the skin, bool [V]."""
        mask = np.zeros(len(self.vertices), np.bool_)
        mask[self.skin_triangles().ravel()] = True
        return mask

    def eye_centers(self, vertices: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Centers of the left and right eyeball of a deformed head, float32 [3] each."""
        return vertices[self.left_eye].mean(axis=0), vertices[self.right_eye].mean(axis=0)


@cache
def load_head() -> Head:
    """The head that ships with the package (read once per process)."""
    with np.load(ASSET_PATH, allow_pickle=False) as data:
        names = tuple(str(name) for name in data["target_names"])
        return Head(
            vertices=data["vertices"].astype(np.float32),
            triangles=data["triangles"].astype(np.int32),
            part=data["part"],
            lips=data["lips"].astype(np.float32) / 255,
            ears=data["ears"].astype(np.float32) / 255,
            inner_mouth=data["inner_mouth"].astype(np.float32) / 255,
            ambient=data["ambient"].astype(np.float32) / 255,
            left_eye=data["left_eye"].astype(np.int32),
            right_eye=data["right_eye"].astype(np.int32),
            pivot=data["pivot"].astype(np.int32),
            chin=int(data["chin"]),
            target_names=names,
            _target_start=data["target_start"].astype(np.int32),
            _target_vertex=data["target_vertex"].astype(np.int32),
            _target_delta=data["target_delta"],
            _target_index={name: index for index, name in enumerate(names)},
        )
