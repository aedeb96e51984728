"""Painting skin: complexion, age, brows, lids, lips, stubble and the edge of the clothes.

Everything is painted at points of the undeformed head, so features follow the face when it moves.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from logitleak.people import palette
from logitleak.people.beard import beard_cover
from logitleak.people.fields import FloatArray, bump, mix, ramp, stack3, tint, value_noise
from logitleak.people.hairstyle import HairLine
from logitleak.people.identity import CHILD_AGE, Identity

EYE_CENTERS = np.array([[0.30775, 7.28415, 1.24535], [-0.30775, 7.28415, 1.24535]], np.float32)
"""Centers of the left and right eyeball of the rest head, [2, 3]."""


def base_tone(identity: Identity) -> FloatArray:
    """Average color of the person's skin, linear float32 [3]."""
    step = int(min(identity.skin_tone, len(palette.SKIN_TONES) - 2))
    share = identity.skin_tone - step
    tone = palette.SKIN_TONES[step] * (1 - share) + palette.SKIN_TONES[step + 1] * share
    warm, bright = identity.skin_hue
    return np.asarray(tone * np.exp(np.array([0.03, -0.006, -0.036]) * warm + 0.05 * bright), np.float32)


class SkinPaint:
    """Colors of one person's skin at one age."""

    def __init__(self, identity: Identity, line: HairLine, hair_color: FloatArray, *, child: bool) -> None:
        """``hair_color`` is linear float32 [3]."""
        self._identity = identity
        self._line = line
        self._hair_color = hair_color
        self._child = child
        self._age = CHILD_AGE if child else identity.age
        self._lightness = 1 - 0.1 * identity.skin_tone

    def color(self, rest: FloatArray, lips: FloatArray) -> FloatArray:
        """Linear colors [N, 3] at points [N, 3] of the rest head with lip mask [N]."""
        color = self._complexion(rest)
        color = self._shade_eye_region(color, rest)
        color = self._spots(color, rest)
        if self._age > 40:
            color = self._wrinkles(color, rest)
        color = self._lips(color, rest, lips)
        color = self._brows(color, rest)
        color = self._lids(color, rest)
        return self._hair_shadow(color, rest, lips)

    def _complexion(self, rest: FloatArray) -> FloatArray:
        person, light = self._identity, self._lightness
        x, y, z = np.abs(rest[:, 0]), rest[:, 1], rest[:, 2]
        front = ramp(0.8, 1.0, z)
        tone = base_tone(person) * np.float32(1.04 if self._child else 1.0)
        coarse = value_noise(rest * 5, person.texture_seed) - 0.5
        fine = value_noise(rest * 16, person.texture_seed + 7) - 0.5
        color = tone * (1 + 0.08 * coarse + 0.05 * fine)[:, None]
        cheek = bump(x - 0.4, 0.17) * bump(y - 6.98, 0.17) * front
        blush = 0.45 * person.blush * light + (0.25 * light if self._child else 0)
        color = tint(color, cheek * blush, (1.0, 0.74, 0.72))
        nose = bump(x, 0.14) * bump(y - 6.92, 0.12) * front
        return tint(color, nose * 0.35 * light, (1.0, 0.8, 0.76))

    def _shade_eye_region(self, color: FloatArray, rest: FloatArray) -> FloatArray:
        person = self._identity
        x, y = np.abs(rest[:, 0]), rest[:, 1]
        front = ramp(0.8, 1.0, rest[:, 2])
        tired = 0.3 if self._child else 0.5 + 0.4 * np.clip((self._age - 30) / 35, 0, 1)
        below = bump(x - 0.3, 0.2) * bump(y - 7.16, 0.07) * front
        color = tint(color, below * 0.65 * person.eye_bags * tired, (0.74, 0.68, 0.7))
        crease = bump(x - 0.3, 0.2) * bump(y - 7.375, 0.04) * front
        return tint(color, crease * 0.3, (0.84, 0.76, 0.76))

    def _spots(self, color: FloatArray, rest: FloatArray) -> FloatArray:
        person = self._identity
        x, y, z = rest.T
        if person.freckles > 0:
            speckle = ramp(0.62, 0.8, value_noise(rest * 38, person.texture_seed + 11))
            where = bump(x, 0.5) * bump(y - 7.02, 0.22) * ramp(0.8, 1.0, z)
            color = tint(color, speckle * where * person.freckles, (0.6, 0.45, 0.35))
        for mole in person.moles:
            spot = ramp(mole.radius * 1.5, mole.radius * 0.6, np.hypot(x - mole.x, y - mole.y))
            color = tint(color, spot * 0.8 * (z > 0.95), (0.34, 0.25, 0.22))
        return color

    def _wrinkles(self, color: FloatArray, rest: FloatArray) -> FloatArray:
        x, y = np.abs(rest[:, 0]), rest[:, 1]
        front = ramp(0.8, 1.0, rest[:, 2])
        depth = np.clip((self._age - 40) / 30, 0, 1)
        wander = 0.02 * np.cos(5 * rest[:, 0]) + 0.02 * (
            value_noise(rest * 5, self._identity.texture_seed) - 0.5
        )
        forehead = sum((bump(y - at - wander, 0.016) for at in (7.68, 7.78, 7.88)), np.float32(0))
        forehead = forehead * ramp(0.45, 0.25, x)
        fold_x = 0.17 + 0.14 * np.clip((6.92 - y) / 0.32, 0, 1)
        fold = bump(x - fold_x, 0.018) * ramp(6.98, 6.9, y) * ramp(6.52, 6.62, y)
        under_eye = bump(y - 7.15 - 0.3 * (x - 0.3) ** 2, 0.014) * ramp(0.5, 0.42, x) * ramp(0.15, 0.2, x)
        lines = np.clip(0.55 * forehead + 0.9 * fold + 0.7 * under_eye, 0, 1) * front
        return tint(color, lines * 0.7 * depth, (0.64, 0.54, 0.52))

    def _lips(self, color: FloatArray, rest: FloatArray, lips: FloatArray) -> FloatArray:
        person = self._identity
        x, y, z = np.abs(rest[:, 0]), rest[:, 1], rest[:, 2]
        lip = base_tone(person) * np.array([0.92, 0.62, 0.62], np.float32) + np.array([0.05, 0.0, 0.01])
        lip = lip * person.lip_color
        if person.lipstick is not None and not self._child:
            lip = 0.4 * lip + 0.6 * person.lipstick
        color = mix(color, lip.astype(np.float32), ramp(0.25, 0.75, lips))
        seam = bump(y - 6.612, 0.012) * ramp(0.25, 0.2, x) * (z > 1.35)
        return tint(color, seam * 0.55, (0.45, 0.32, 0.32))

    def _brows(self, color: FloatArray, rest: FloatArray) -> FloatArray:
        person, brows = self._identity, self._identity.brows
        x, y, z = np.abs(rest[:, 0]), rest[:, 1], rest[:, 2]
        inner, outer = 0.105 + brows.gap, 0.53 + brows.length
        along = (x - inner) / (outer - inner)
        # The line rises to a peak at two thirds and falls; a negative tilt lifts the inner end.
        middle = 7.475 + brows.lift + brows.tilt * (along - 0.4)
        middle = middle + brows.arch * np.sin(np.clip(along, 0, 1) * np.pi * 0.9)
        middle = middle - 0.1 * np.clip(along - 0.62, 0, 1)
        half = brows.thickness * (1 - 0.6 * np.clip(along - 0.3, 0, 1)) * (0.75 if self._child else 1.0)
        half = half * (1 + 0.4 * (value_noise(rest * 22, person.texture_seed + 5) - 0.5))
        cover = ramp(1.35, 0.55, np.abs(y - middle) / half) * ramp(-0.04, 0.08, along)
        cover = cover * ramp(1.05, 0.9, along) * (z > 1.0)
        hairs = 0.72 + 0.5 * value_noise(stack3(x * 60, y * 25, 0.0), person.texture_seed)
        cover = np.clip(cover * hairs * brows.density * (0.8 if self._child else 1.0), 0, 0.92)
        return mix(color, self._brow_color(), cover)

    def _brow_color(self) -> FloatArray:
        person = self._identity
        if person.gray >= 0.6 and not self._child:
            return person.hair_color * np.float32(0.55)
        # Brows stay darker than light hair, or a blond face would lose them.
        natural = person.natural_hair_color
        dim = np.float32(min(1.0, 0.16 / (float(natural.mean()) + 1e-6)))
        return np.asarray(natural * dim * 0.85 + np.array([0.012, 0.008, 0.006]), np.float32)

    def _lids(self, color: FloatArray, rest: FloatArray) -> FloatArray:
        person = self._identity
        y, z = rest[:, 1], rest[:, 2]
        distance = np.minimum(*(np.linalg.norm(rest - center, axis=1) for center in EYE_CENTERS))
        upper = ramp(7.285, 7.31, y)
        rim = ramp(0.200, 0.170, distance) * (z > 1.28)
        color = tint(
            color, rim * upper * (0.7 if person.masculine or self._child else 0.85), (0.2, 0.16, 0.16)
        )
        color = tint(color, rim * (1 - upper) * 0.4, (0.55, 0.45, 0.45))
        if person.eyeliner > 0 and not self._child:
            band = ramp(0.245, 0.19, distance) * upper * (z > 1.2)
            color = tint(color, band * 0.7 * person.eyeliner, (0.3, 0.25, 0.28))
        return color

    def _hair_shadow(self, color: FloatArray, rest: FloatArray, lips: FloatArray) -> FloatArray:
        """Scalp seen under hair, a shaved scalp, and the shadow of a beard."""
        person = self._identity
        above = self._line.above(rest)
        if self._line.style.density > 0:
            color = mix(color, self._hair_color * np.float32(0.7), ramp(-0.03, 0.05, above) * 0.9)
        elif not self._child:
            color = mix(color, person.natural_hair_color, ramp(-0.02, 0.12, above) * 0.14)
        if person.beard != "none" and not self._child:
            grain = 0.6 + 0.6 * value_noise(rest * 45, 3)
            share = 0.45 if person.beard == "stubble" else 0.8
            cover = np.clip(beard_cover(person.beard, rest, lips) * share * grain, 0, 0.9)
            color = mix(color, person.beard_color * np.float32(0.8), cover)
        return color


def clothes_cover(rest: FloatArray, neckline: float) -> FloatArray:
    """How far clothes cover points [N, 3] of the rest head, [N] in [0, 1]."""
    x, y, z = np.abs(rest[:, 0]), rest[:, 1], rest[:, 2]
    edge: Any = 5.72 + neckline + 0.25 * np.clip(x - 0.35, 0, 1) - 0.12 * np.clip(z - 0.6, 0, 1)
    return ramp(-0.015, 0.015, edge - y)
