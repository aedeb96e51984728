"""Sampling scenes: everything that differs between two pictures of the same person."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from logitleak.people import palette
from logitleak.people.fields import FloatArray, normalize

BLINK_RATE = 0.005
"""Share of pictures with half-shut eyes (at ``variation`` 1)."""


def _both(unit: str, weight: float) -> dict[str, float]:
    left, right = unit.replace("*", "left"), unit.replace("*", "right")
    return {left: weight, right: weight}


EXPRESSIONS: Mapping[str, Mapping[str, float]] = {
    "neutral": {},
    "smile": {"mouth-corner-puller": 0.8, **_both("eye-*-slit", 0.1)},
    "laugh": {"mouth-corner-puller": 0.7, "mouth-open": 0.35, "mouth-upward-retraction": 0.3},
    "surprise": {
        **_both("eyebrows-*-up", 0.7),
        **_both("eye-*-opened-up", 0.5),
        "mouth-open": 0.3,
    },
    "frown": {**_both("eyebrows-*-down", 0.3), "mouth-depression": 0.3},
    "talk": {"mouth-open": 0.4, "mouth-protusion": 0.2},
    "pressed lips": {"mouth-compression": 0.6},
    "smirk": {"mouth-corner-puller": 0.5, "eyebrows-right-extern-up": 0.5},
    "sad": {**_both("eyebrows-*-inner-up", 0.6), "mouth-depression": 0.4},
    "pucker": {"mouth-pursing": 0.6},
}
EXPRESSION_ODDS = (0.28, 0.26, 0.14, 0.05, 0.03, 0.09, 0.04, 0.06, 0.03, 0.02)


@dataclass(frozen=True)
class Scene:
    """Pose, expression, light and surroundings of one picture.

    Angles are in degrees; ``gaze`` in radians; ``offset`` is a share of the picture; colors are linear
    float32 [3]; ``light_direction`` is a unit vector toward the light; ``expression`` maps units to
    weights; ``noise`` is the standard deviation of the sensor noise (display range 0 to 1).
    """

    yaw: float
    pitch: float
    roll: float
    offset: tuple[float, float]
    zoom: float
    expression_name: str
    expression: Mapping[str, float]
    blink: bool
    gaze: tuple[float, float]
    light_direction: FloatArray
    light_color: FloatArray
    light_strength: float
    ambient: float
    exposure: float
    backdrop: tuple[FloatArray, FloatArray]
    backdrop_angle: float
    cloth: FloatArray
    neckline: float
    mask_color: FloatArray
    noise: float
    seed: int


def sample_scene(rng: np.random.Generator, variation: float = 1.0) -> Scene:
    """Draw a scene; ``variation`` (0 to 2) scales how far it departs from a plain frontal picture.

    Every call draws the same numbers from ``rng``, whatever the variation.
    """
    v = variation
    # Light and surroundings vary more than pose even in aligned pictures, and stay within bounds.
    mild = min(1.0, 1.4 * v)

    def turn(spread: float, limit: float) -> float:
        return float(np.clip(rng.normal(0, spread), -limit, limit)) * v

    yaw, pitch, roll = turn(12, 25), turn(6, 14), turn(4, 9)
    name = str(rng.choice(list(EXPRESSIONS), p=EXPRESSION_ODDS))
    strength = float(rng.uniform(0.6, 1.1)) * min(1.1, 1.5 * v)
    warmth = float(rng.normal())
    azimuth, elevation = np.radians(rng.normal(0, 40) * mild), np.radians(32 + rng.uniform(-24, 24) * mild)
    light = (np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation))
    hue = float(rng.random())
    near = _color(hue, rng.uniform(0, 0.45), rng.uniform(0.2, 0.9))
    far = _color(hue + rng.normal(0, 0.06), rng.uniform(0, 0.5), rng.uniform(0.15, 0.9))
    cloth = _color(rng.random(), rng.uniform(0, 0.65), rng.uniform(0.12, 0.85))
    return Scene(
        yaw=yaw,
        pitch=pitch,
        roll=roll,
        offset=(float(rng.normal(0, 0.018)) * v, float(rng.normal(0, 0.018)) * v),
        zoom=float(np.exp(rng.normal(0, 0.03) * v)),
        expression_name=name,
        expression={unit: weight * strength for unit, weight in EXPRESSIONS[name].items()},
        blink=bool(rng.random() < BLINK_RATE * mild),
        gaze=(float(rng.normal(0, 0.09)) * v, float(rng.normal(0, 0.05)) * v),
        light_direction=normalize(np.array(light)),
        light_color=np.array([1 + 0.08 * warmth * v, 1, 1 - 0.1 * warmth * v], np.float32),
        light_strength=0.9 + float(rng.uniform(-0.2, 0.2)) * mild,
        ambient=0.46 + float(rng.uniform(-0.12, 0.12)) * mild,
        exposure=float(np.exp(rng.normal(0, 0.15) * v)),
        backdrop=(_blend(palette.NEUTRAL_BACKDROP, near, mild), _blend(palette.NEUTRAL_BACKDROP, far, mild)),
        backdrop_angle=float(rng.uniform(0, 2 * np.pi)),
        cloth=_blend(palette.NEUTRAL_CLOTH, cloth, mild),
        neckline=float(rng.normal(0, 0.08)) * mild,
        mask_color=palette.MASKS[rng.choice(len(palette.MASKS), p=palette.MASK_ODDS)],
        noise=0.008 + float(rng.uniform(-0.004, 0.006)) * mild,
        seed=int(rng.integers(1 << 30)),
    )


def _color(hue: float, saturation: float, value: float) -> FloatArray:
    rgb = colorsys.hsv_to_rgb(hue % 1.0, float(saturation), float(value))
    return np.asarray(np.array(rgb, np.float32) ** 2.2, np.float32)


def _blend(plain: FloatArray, vivid: FloatArray, amount: float) -> FloatArray:
    return np.asarray(plain * (1 - amount) + vivid * amount, np.float32)
