"""Pieces of geometry a picture is assembled from, and the frame of a person's head."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from logitleak.people.fields import FloatArray
from logitleak.people.head import Head
from logitleak.people.mesh import Triangles


class Material(IntEnum):
    """What a triangle is made of (the first four are the parts of the head mesh)."""

    SKIN = 0
    EYE = 1
    TEETH = 2
    TONGUE = 3
    HAIR = 4
    DRAPE = 5
    BEARD = 6
    GLASSES = 7
    MASK = 8
    STRAP = 9


@dataclass(frozen=True)
class Piece:
    """A mesh of one material.

    ``vertices`` [V, 3] are in the person's own shape; ``rest`` [V, 3] is where the same points lie on the
    undeformed head (colors and hair lines are painted there); ``surface`` [V, 3] are coordinates within
    the piece, of a meaning that depends on the material.
    """

    vertices: FloatArray
    rest: FloatArray
    triangles: Triangles
    material: Material
    surface: FloatArray


@dataclass(frozen=True)
class HeadFrame:
    """Measures of a person's head in mesh units.

    ``scale`` is 1 for a face as large as the rest head; ``pivot`` [3] is the point the head turns on;
    ``eye_middle`` [3] lies between the eyes; the others bound the skull.
    """

    left_eye: FloatArray
    right_eye: FloatArray
    eye_middle: FloatArray
    chin: FloatArray
    pivot: FloatArray
    scale: float
    half_width: float
    top: float
    front: float
    back: float


# Distance from the eyes to the chin and between the eyes on the rest head.
_REST_EYE_TO_CHIN = 1.08
_REST_EYE_DISTANCE = 0.6155
_SKULL_FROM = 7.3


def head_frame(head: Head, vertices: FloatArray) -> HeadFrame:
    """Measure a deformed head with ``vertices`` [V, 3]."""
    skull = vertices[head.skin_vertices() & (head.vertices[:, 1] > _SKULL_FROM) & (head.ears < 0.3)]
    left, right = head.eye_centers(vertices)
    middle, chin = ((left + right) / 2).astype(np.float32), vertices[head.chin]
    scale = 0.5 * (middle[1] - chin[1]) / _REST_EYE_TO_CHIN + 0.5 * (left[0] - right[0]) / _REST_EYE_DISTANCE
    return HeadFrame(
        left_eye=left,
        right_eye=right,
        eye_middle=middle,
        chin=chin,
        pivot=vertices[head.pivot].mean(axis=0),
        scale=float(scale),
        half_width=float(np.abs(skull[:, 0]).max()),
        top=float(skull[:, 1].max()),
        front=float(skull[:, 2].max()),
        back=float(skull[:, 2].min()),
    )
