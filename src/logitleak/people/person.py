"""A person at one age: the geometry that stays the same from picture to picture."""

from __future__ import annotations

from logitleak.people.accessories import glasses_pieces
from logitleak.people.beard import BeardShell
from logitleak.people.fields import FloatArray
from logitleak.people.hair import hair_pieces
from logitleak.people.hairstyle import fit_hair_line
from logitleak.people.head import Head, load_head
from logitleak.people.identity import Identity
from logitleak.people.materials import Look
from logitleak.people.pieces import Piece, head_frame
from logitleak.people.scene import Scene
from logitleak.people.shape import add_expression, shape_head
from logitleak.people.skin import SkinPaint

# A mask hides the mouth and would be pushed through by a wide open one.
_MOUTH_UNDER_MASK = 0.35
_BLINK = 0.7
_CHILD_EYES = 0.12


class Person:
    """One made-up person as an adult or as a child, ready to be pictured."""

    def __init__(self, identity: Identity, *, child: bool = False) -> None:
        """Build the head, hair and glasses (a child wears neither glasses nor a beard)."""
        self.head: Head = load_head()
        self.identity = identity
        self.child = child
        self.vertices = shape_head(identity, child=child)
        self.frame = head_frame(self.head, self.vertices)
        line = fit_hair_line(identity, child=child)
        hair_color = identity.natural_hair_color * 1.15 if child else identity.hair_color
        skin = SkinPaint(identity, line, hair_color, child=child)
        self.look = Look(identity, line, hair_color, skin, child)
        self._pieces = hair_pieces(identity, line, self.head, self.vertices, self.frame)
        if identity.glasses is not None and not child:
            self._pieces += glasses_pieces(identity.glasses, self.frame)
        bearded = not child and BeardShell.wanted(identity.beard)
        self._beard = BeardShell(identity, self.head, identity.beard) if bearded else None

    def face(self, scene: Scene, *, masked: bool) -> FloatArray:
        """Vertices [V, 3] of the head with the expression of the scene."""
        vertices = self.vertices.copy()
        units = {
            unit: weight * (_MOUTH_UNDER_MASK if masked and unit.startswith("mouth") else 1.0)
            for unit, weight in scene.expression.items()
        }
        openness = self.identity.eye_openness + (_CHILD_EYES if self.child else 0.0)
        lids = "opened-up" if openness > 0 else "slit"
        for side in ("left", "right"):
            unit = f"eye-{side}-{lids}"
            units[unit] = units.get(unit, 0.0) + abs(openness)
            if scene.blink:
                units[f"eye-{side}-closure"] = _BLINK
        add_expression(vertices, self.identity, units)
        return vertices

    def pieces(self, face: FloatArray, *, masked: bool) -> list[Piece]:
        """Everything but the head itself, for a face with vertices [V, 3]."""
        beard = [self._beard.place(face)] if self._beard is not None and not masked else []
        return self._pieces + beard
