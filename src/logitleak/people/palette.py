"""Colors that made-up people are painted with (linear light, see ``fields.linear``)."""

from __future__ import annotations

import numpy as np

from logitleak.people.fields import FloatArray, linear

SKIN_TONES: FloatArray = np.stack(
    [
        linear(*tone)
        for tone in (
            (234, 196, 174),
            (227, 184, 157),
            (214, 167, 136),
            (197, 147, 112),
            (168, 117, 84),
            (132, 88, 61),
            (99, 63, 45),
            (72, 46, 35),
        )
    ]
)
"""Skin from light to dark, float32 [8, 3]; ``Identity.skin_tone`` interpolates between the rows."""

HAIR: dict[str, FloatArray] = {
    "black": linear(24, 19, 18),
    "dark brown": linear(48, 32, 22),
    "brown": linear(84, 54, 33),
    "light brown": linear(125, 88, 55),
    "dark blond": linear(160, 122, 76),
    "blond": linear(205, 170, 112),
    "platinum": linear(228, 208, 165),
    "red": linear(128, 56, 28),
    "auburn": linear(96, 44, 27),
    "ginger": linear(178, 96, 46),
}
WHITE_HAIR = linear(188, 186, 184)
DYED_HAIR = (linear(150, 40, 60), linear(60, 70, 140), linear(190, 90, 140))
DARK_HAIR_ODDS = {"black": 0.5, "dark brown": 0.3, "brown": 0.13, "auburn": 0.07}
LIGHT_HAIR_ODDS = {
    "black": 0.08,
    "dark brown": 0.16,
    "brown": 0.16,
    "light brown": 0.12,
    "dark blond": 0.12,
    "blond": 0.14,
    "platinum": 0.04,
    "red": 0.06,
    "auburn": 0.05,
    "ginger": 0.07,
}

IRIS: dict[str, FloatArray] = {
    "brown": linear(88, 54, 30),
    "dark": linear(48, 30, 20),
    "hazel": linear(120, 92, 48),
    "green": linear(92, 120, 74),
    "blue": linear(86, 128, 168),
    "gray": linear(124, 138, 148),
    "amber": linear(150, 98, 40),
}
DARK_IRIS_ODDS = {"dark": 0.65, "brown": 0.35}
LIGHT_IRIS_ODDS = {
    "brown": 0.2,
    "dark": 0.06,
    "hazel": 0.14,
    "green": 0.14,
    "blue": 0.26,
    "gray": 0.14,
    "amber": 0.06,
}

LIPSTICK = (
    linear(170, 40, 50),
    linear(190, 80, 90),
    linear(140, 40, 70),
    linear(200, 60, 60),
    linear(110, 30, 50),
)
FRAMES = (
    linear(20, 20, 22),
    linear(90, 50, 25),
    linear(150, 130, 70),
    linear(130, 30, 35),
    linear(60, 70, 90),
)
MASKS = (
    linear(150, 190, 215),
    linear(235, 238, 240),
    linear(40, 42, 46),
    linear(140, 180, 165),
    linear(215, 150, 160),
    linear(90, 110, 150),
)
MASK_ODDS = (0.42, 0.2, 0.14, 0.1, 0.06, 0.08)
SCLERA = np.array([0.72, 0.69, 0.66], np.float32)
TEETH = np.array([0.72, 0.68, 0.58], np.float32)
TONGUE = np.array([0.35, 0.1, 0.1], np.float32)
NEUTRAL_BACKDROP = linear(128, 130, 134)
NEUTRAL_CLOTH = linear(92, 98, 110)
