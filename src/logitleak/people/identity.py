"""Sampling made-up people: everything about a person that stays the same from picture to picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from logitleak.people import palette
from logitleak.people.fields import FloatArray

LOCAL_CONTROLS = 128
"""Length of the local shape vectors (more than the head mesh has controls)."""

CHILD_AGE = 8.0
"""Age in years of a person in the ``young`` domain."""

BEARDS = ("none", "stubble", "moustache", "goatee", "full", "circle", "long")
BEARD_ODDS = (0.38, 0.17, 0.09, 0.1, 0.15, 0.06, 0.05)

_MASCULINE_STYLES = {
    "buzz": 0.07,
    "short": 0.18,
    "side part": 0.14,
    "quiff": 0.13,
    "curly": 0.1,
    "afro": 0.05,
    "bald": 0.06,
    "receding": 0.08,
    "bowl": 0.06,
    "medium": 0.09,
    "tied": 0.04,
}
_FEMININE_STYLES = {
    "long": 0.17,
    "long fringe": 0.13,
    "bob": 0.11,
    "bob fringe": 0.1,
    "curly long": 0.1,
    "bun": 0.07,
    "tied": 0.06,
    "afro": 0.05,
    "short": 0.06,
    "wavy long": 0.15,
}
_TIGHT_CURLS_MASCULINE = {"buzz": 0.3, "afro": 0.25, "curly": 0.2, "bald": 0.12, "short": 0.13}
_TIGHT_CURLS_FEMININE = {
    "afro": 0.27,
    "curly long": 0.27,
    "bun": 0.14,
    "tied": 0.1,
    "long": 0.12,
    "bob fringe": 0.1,
}
_BOY_STYLES = {"short": 0.25, "bowl": 0.25, "side part": 0.2, "medium": 0.15, "curly": 0.15}
_GIRL_STYLES = {
    "long": 0.2,
    "long fringe": 0.2,
    "bob": 0.15,
    "bob fringe": 0.2,
    "tied": 0.1,
    "wavy long": 0.15,
}


@dataclass(frozen=True)
class Brows:
    """Eyebrow shape in mesh units: half thickness, arch, tilt, distance from the middle, lift, density."""

    thickness: float
    arch: float
    tilt: float
    gap: float
    lift: float
    density: float
    length: float


@dataclass(frozen=True)
class Glasses:
    """Frame: half width and height and wire radius (eye distances), squareness (2 = round), color [3]."""

    half_width: float
    half_height: float
    squareness: float
    wire: float
    color: FloatArray


@dataclass(frozen=True)
class Mole:
    """A dark spot at (x, y) of the rest head with a radius, all in mesh units."""

    x: float
    y: float
    radius: float


@dataclass(frozen=True)
class Identity:
    """One made-up person.

    ``shape_mix`` holds weights (summing to 1) of the three macro shapes a, b, c; ``masculinity``, ``weight``
    and ``muscle`` run from 0 to 1, ``skin_tone`` from 0 (light) to 7 (dark); ``age`` is in years; colors are
    linear float32 [3]; ``local_shape`` and ``asymmetry`` are standard normal [LOCAL_CONTROLS].
    """

    index: int
    masculine: bool
    masculinity: float
    shape_mix: tuple[float, float, float]
    weight: float
    muscle: float
    age: float
    local_shape: npt.NDArray[np.float64]
    asymmetry: npt.NDArray[np.float64]
    skin_tone: float
    skin_hue: tuple[float, float]
    hair_color: FloatArray
    natural_hair_color: FloatArray
    gray: float
    style: str
    child_style: str
    hairline_shift: float
    hairline_peak: float
    temples: float
    volume: float
    parting: float
    hair_length: float
    beard: str
    beard_color: FloatArray
    brows: Brows
    iris_color: FloatArray
    iris_size: float
    eye_openness: float
    lip_color: FloatArray
    lipstick: FloatArray | None
    blush: float
    freckles: float
    moles: tuple[Mole, ...]
    eye_bags: float
    eyeliner: float
    glasses: Glasses | None
    texture_seed: int


def sample_identity(seed: int, index: int) -> Identity:
    """Person number ``index`` of the population ``seed`` (the same person for the same two numbers)."""
    rng = np.random.default_rng([seed, index])
    masculine = bool(rng.random() < 0.5)
    masculinity = float(0.82 + 0.18 * rng.random()) if masculine else float(0.18 * rng.random())
    mixture = _shape_mix(rng)
    tone = float(np.clip(mixture @ np.array([5.2, 2.0, 0.9]) + rng.normal(0, 0.75), 0, 6.8))
    age = _age(rng)
    dark = bool(mixture[2] < 0.6 or tone > 2.6)
    natural = palette.HAIR[
        _pick(rng, palette.DARK_HAIR_ODDS if dark else palette.LIGHT_HAIR_ODDS)
    ] * np.float32(np.exp(rng.normal(0, 0.12)))
    gray = float(np.clip((age - 44) / 25 + rng.normal(0, 0.25), 0, 1)) if age > 42 else 0.0
    hair = natural * np.float32(1 - gray) + palette.WHITE_HAIR * np.float32(gray)
    if not masculine and rng.random() < 0.05:
        hair = palette.DYED_HAIR[rng.integers(len(palette.DYED_HAIR))]
    style, child_style = _styles(rng, masculine, bool(mixture[0] > 0.6))
    beard = str(rng.choice(BEARDS, p=BEARD_ODDS)) if masculine else "none"
    iris = palette.IRIS[_pick(rng, palette.DARK_IRIS_ODDS if dark else palette.LIGHT_IRIS_ODDS)]
    lipstick = palette.LIPSTICK[rng.integers(len(palette.LIPSTICK))] if rng.random() < 0.4 else None
    return Identity(
        index=index,
        masculine=masculine,
        masculinity=masculinity,
        shape_mix=(float(mixture[0]), float(mixture[1]), float(mixture[2])),
        weight=float(np.clip(rng.normal(0.5, 0.24), 0, 1)),
        muscle=float(np.clip(rng.normal(0.5, 0.2), 0, 1)),
        age=age,
        local_shape=rng.normal(0, 1, LOCAL_CONTROLS),
        asymmetry=rng.normal(0, 1, LOCAL_CONTROLS),
        skin_tone=tone,
        skin_hue=(float(rng.normal()), float(rng.normal())),
        hair_color=hair,
        natural_hair_color=natural,
        gray=gray,
        style=style,
        child_style=child_style,
        hairline_shift=float(rng.normal(-0.03, 0.06)),
        hairline_peak=float(rng.normal(0, 0.04)),
        temples=float(abs(rng.normal(0, 0.08))) if masculine else 0.0,
        volume=float(np.clip(np.exp(rng.normal(0, 0.22)), 0.65, 1.5)),
        parting=float(rng.choice([-0.28, 0.0, 0.28])),
        hair_length=float(rng.uniform()),
        beard=beard,
        beard_color=hair * np.array([1.1, 0.95, 0.85], np.float32) * np.float32(np.exp(rng.normal(0, 0.1))),
        brows=_brows(rng, masculine),
        iris_color=iris * np.float32(np.exp(rng.normal(0, 0.1))),
        iris_size=float(np.clip(rng.normal(1, 0.06), 0.88, 1.15)),
        eye_openness=float(np.clip(rng.normal(0.18, 0.12), -0.05, 0.5)),
        lip_color=np.exp(0.1 * rng.normal(0, 1, 3) * np.array([1, 0.8, 0.8])).astype(np.float32),
        lipstick=None if masculine else lipstick,
        blush=float(np.clip(rng.normal(0.5, 0.3), 0, 1.2)),
        freckles=float(rng.uniform(0.25, 0.7)) if rng.random() < 0.3 and tone < 1.8 else 0.0,
        moles=_moles(rng),
        eye_bags=float(np.clip(rng.normal(0.3, 0.2), 0, 0.8)),
        eyeliner=float(rng.uniform(0.3, 1)) if rng.random() < 0.5 and not masculine else 0.0,
        glasses=_glasses(rng) if rng.random() < 0.2 else None,
        texture_seed=int(rng.integers(1, 4000)),
    )


def _pick(rng: np.random.Generator, odds: dict[str, float]) -> str:
    weights = np.array(list(odds.values()))
    return str(rng.choice(list(odds), p=weights / weights.sum()))


def _shape_mix(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Mostly one of the three macro shapes, blended a little with the others."""
    blend = 0.3 * rng.dirichlet([0.5, 0.5, 0.5])
    blend[rng.choice(3, p=[0.32, 0.3, 0.38])] += 0.7
    return np.asarray(blend, np.float64)


def _age(rng: np.random.Generator) -> float:
    low, high = ((20, 35), (30, 50), (48, 76))[rng.choice(3, p=[0.45, 0.35, 0.2])]
    return float(rng.uniform(low, high))


def _styles(rng: np.random.Generator, masculine: bool, tight_curls: bool) -> tuple[str, str]:
    """Hair style as an adult and as a child."""
    if tight_curls:
        style = _pick(rng, _TIGHT_CURLS_MASCULINE if masculine else _TIGHT_CURLS_FEMININE)
        child = _pick(rng, {"buzz": 0.35, "curly": 0.4, "afro": 0.25} if masculine else _TIGHT_CURLS_FEMININE)
        return style, child
    style = _pick(rng, _MASCULINE_STYLES if masculine else _FEMININE_STYLES)
    child = _pick(rng, _BOY_STYLES if masculine else _GIRL_STYLES)
    if style in ("curly", "afro", "curly long"):
        child = "curly" if masculine else style
    elif not masculine and rng.random() < 0.35:
        child = style
    return style, child


def _brows(rng: np.random.Generator, masculine: bool) -> Brows:
    return Brows(
        thickness=float(np.clip(rng.normal(0.034 if masculine else 0.025, 0.007), 0.014, 0.052)),
        arch=float(np.clip(rng.normal(0.045, 0.02), 0.0, 0.09)),
        tilt=float(np.clip(rng.normal(-0.015, 0.025), -0.07, 0.03)),
        gap=float(np.clip(rng.normal(0.015, 0.025), -0.025, 0.07)),
        lift=float(np.clip(rng.normal(0.02, 0.02), -0.02, 0.06)),
        density=float(np.clip(rng.normal(0.85, 0.14), 0.45, 1)),
        length=float(np.clip(rng.normal(0, 0.025), -0.05, 0.05)),
    )


def _moles(rng: np.random.Generator) -> tuple[Mole, ...]:
    spots = rng.uniform((-0.5, 6.4, 0.012), (0.5, 7.9, 0.024), size=(int(rng.poisson(0.8)), 3))
    # A spot on an eye, on the lips or right between the brows would look like a glitch.
    return tuple(
        Mole(float(x), float(y), float(radius))
        for x, y, radius in spots
        if not (7.1 < y < 7.6 and abs(x) > 0.1)
        and not (y > 7.2 and abs(x) < 0.12)
        and not (6.5 < y < 6.85 and abs(x) < 0.35)
    )


def _glasses(rng: np.random.Generator) -> Glasses:
    return Glasses(
        half_width=float(rng.uniform(0.2, 0.25)),
        half_height=float(rng.uniform(0.15, 0.21)),
        squareness=float(rng.choice([2.0, 3.2, 5.0])),
        wire=float(rng.uniform(0.014, 0.03)),
        color=palette.FRAMES[rng.integers(len(palette.FRAMES))],
    )
