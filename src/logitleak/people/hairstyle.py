"""Hair styles and the line where hair begins."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from logitleak.people.fields import FloatArray, bump, ramp
from logitleak.people.identity import Identity


@dataclass(frozen=True)
class Drape:
    """Hair that hangs down.

    ``end`` is its lower end (height on the rest head), ``end_range`` how far that moves with the person's
    hair length, ``wave`` and ``tuck`` how wavy it is and how far the end turns inward (shares of the girth),
    ``front_angle`` the angle from the front in degrees where it begins.
    """

    end: float
    end_range: float = 0.0
    wave: float = 0.0
    front_angle: float = 58.0
    tuck: float = 0.0


@dataclass(frozen=True)
class HairStyle:
    """Thickness of the hair in mesh units by region, and what makes the style special.

    ``density`` below 1 lets the scalp shine through; ``fringe`` is the height of hair on the forehead
    (rest head) and ``fringe_range`` how far it moves with the hair length; ``raised`` lifts the hair line
    at the front. ``parted`` hair shows a line, ``swept`` hair is thicker on one side, ``sleek`` hair rises
    slowly from its roots, as when it is pulled back.
    """

    top: float
    side: float
    front: float
    back: float
    curl: float = 0.0
    density: float = 1.0
    fringe: float | None = None
    fringe_range: float = 0.0
    fringe_slope: float = 0.0
    raised: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    drape: Drape | None = None
    bun: bool = False
    parted: bool = False
    swept: bool = False
    sleek: bool = False


STYLES: dict[str, HairStyle] = {
    "buzz": HairStyle(0.02, 0.015, 0.018, 0.018, density=0.75),
    "bald": HairStyle(0.0, 0.0, 0.0, 0.0, density=0.0),
    "receding": HairStyle(0.05, 0.06, 0.03, 0.06, raised=(0.4, 0.38, 0.32, 0.12)),
    "short": HairStyle(0.15, 0.06, 0.12, 0.08),
    "side part": HairStyle(0.2, 0.07, 0.17, 0.08, swept=True),
    "quiff": HairStyle(0.26, 0.04, 0.3, 0.06, swept=True),
    "curly": HairStyle(0.26, 0.15, 0.2, 0.16, curl=1.0),
    "afro": HairStyle(0.46, 0.4, 0.3, 0.4, curl=1.0),
    "bowl": HairStyle(0.17, 0.15, 0.12, 0.15, fringe=7.66, fringe_range=0.16),
    "medium": HairStyle(
        0.18, 0.13, 0.14, 0.15, fringe=7.78, fringe_slope=0.35, swept=True, drape=Drape(6.7, 0.2, 0.03, 66)
    ),
    "tied": HairStyle(0.07, 0.06, 0.06, 0.06, sleek=True),
    "bun": HairStyle(0.07, 0.06, 0.06, 0.06, sleek=True, bun=True),
    "long": HairStyle(0.13, 0.1, 0.09, 0.12, parted=True, drape=Drape(5.3, 0.3)),
    "wavy long": HairStyle(0.16, 0.13, 0.1, 0.14, parted=True, drape=Drape(5.4, 0.3, 0.09, 56)),
    "long fringe": HairStyle(
        0.13, 0.1, 0.1, 0.12, fringe=7.56, fringe_range=0.1, drape=Drape(5.3, 0.3, front_angle=56)
    ),
    "bob": HairStyle(0.15, 0.13, 0.1, 0.15, parted=True, drape=Drape(6.2, 0.35, 0.03, 56, tuck=0.14)),
    "bob fringe": HairStyle(
        0.15, 0.13, 0.1, 0.15, fringe=7.56, fringe_range=0.1, drape=Drape(6.2, 0.35, 0.03, 56, tuck=0.14)
    ),
    "curly long": HairStyle(
        0.26, 0.24, 0.18, 0.26, curl=1.0, drape=Drape(5.25, 0.2, wave=0.1, front_angle=56)
    ),
}

# Height of the hair line on the rest head by angle from the front (degrees), ear at about 90.
_LINE_CENTER_Z = 0.42
_LINE_ANGLE = np.radians([0, 20, 38, 52, 64, 76, 90, 104, 120, 140, 180]).astype(np.float32)
_LINE_HEIGHT = np.array([7.96, 7.97, 7.9, 7.72, 7.45, 7.05, 7.38, 7.05, 6.8, 6.6, 6.5], np.float32)
_SIDEBURN = 5
_THINNING_FROM, _THINNING_YEARS = 48, 28


@dataclass(frozen=True)
class HairLine:
    """A style fitted to a person.

    ``height`` [11] is the line at the angles of ``_LINE_ANGLE``, ``peak`` how far it dips in the middle,
    ``fringe`` and ``slope`` the height and tilt of a fringe, ``part`` the side the hair is parted on (x).
    """

    style: HairStyle
    height: FloatArray
    peak: float
    fringe: float | None
    slope: float
    part: float

    def above(self, rest: FloatArray) -> FloatArray:
        """How far points [N, 3] of the rest head lie above the hair line, [N] in mesh units."""
        x = rest[:, 0]
        angle = np.arctan2(np.abs(x), rest[:, 2] - _LINE_CENTER_Z)
        line = np.interp(angle, _LINE_ANGLE, self.height) - self.peak * bump(x, 0.12)
        if self.fringe is not None:
            share = 1 - ramp(0.5, 0.75, np.abs(x))
            line = line * (1 - share) + (self.fringe + self.slope * x) * share
        return np.asarray(rest[:, 1] - line, np.float32)


def fit_hair_line(identity: Identity, *, child: bool) -> HairLine:
    """The person's hair style and hair line as an adult or as a child."""
    style = STYLES[identity.child_style if child else identity.style]
    shift = np.zeros(len(_LINE_HEIGHT), np.float32)
    shift[:2] += identity.hairline_shift
    if child:
        # A child's brow is round: no temples, and hair starts a little higher.
        shift[:4] += 0.02
    else:
        shift[2:4] += 0.9 * identity.temples
        shift[:2] += 0.25 * identity.temples
        if identity.masculine and identity.age > _THINNING_FROM:
            shift[1:4] += 0.1 * min(1.0, (identity.age - _THINNING_FROM) / _THINNING_YEARS)
    if not identity.masculine or child:
        shift[_SIDEBURN] += 0.18
    shift[: len(style.raised)] += style.raised
    fringe = None if style.fringe is None else style.fringe + style.fringe_range * identity.hair_length
    part = identity.parting
    thickness = {name: getattr(style, name) * identity.volume for name in ("top", "side", "front", "back")}
    return HairLine(
        style=replace(style, **thickness),
        height=_LINE_HEIGHT + shift,
        peak=0.0 if child else identity.hairline_peak,
        fringe=fringe,
        slope=style.fringe_slope * (1.0 if part >= 0 else -1.0),
        part=part,
    )
