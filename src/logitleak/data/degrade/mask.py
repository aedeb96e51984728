"""A painted face mask: the insensitive domain of Masked LFW, for sets that come without one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw
from pydantic import Field

from logitleak.data.degrade.base import Degradation, DegradationSettings, Pixels

_FABRICS = ((150, 190, 215), (235, 238, 240), (40, 42, 46), (140, 180, 165), (215, 150, 160), (90, 110, 150))
_OVERSAMPLE = 4


class MaskSettings(DegradationSettings):
    """Where the mask sits, as shares of the image side; the defaults fit the aligned LFW face crop.

    Attributes:
        top: height of the upper edge on the nose.
        bottom: height of the lower edge under the chin.
        center: horizontal middle of the face.
        half_width: half the mask's width.
        jitter: how far the corners vary from file to file.
    """

    top: float = Field(default=0.53, ge=0, le=1)
    bottom: float = Field(default=0.99, ge=0, le=1.2)
    center: float = Field(default=0.5, ge=0, le=1)
    half_width: float = Field(default=0.36, gt=0, le=0.5)
    jitter: float = Field(default=0.02, ge=0, le=0.2)


class Mask(Degradation):
    """A mask with pleats and straps, in several colors, drawn anew for every file from the file's name."""

    Settings = MaskSettings
    settings: MaskSettings

    def __call__(self, pixels: Pixels, files: Sequence[str]) -> Pixels:
        out = np.array(pixels)
        for i, name in enumerate(files):
            seed = int.from_bytes(hashlib.sha256(name.encode(errors="surrogateescape")).digest()[:8], "big")
            out[i] = self._paint(out[i], np.random.default_rng(seed))
        return out

    def _paint(self, pixels: Pixels, rng: np.random.Generator) -> Pixels:
        """Draw on one image uint8 [3, H, W]."""
        height, width = pixels.shape[1:]
        color, alpha = self._draw(height, width, rng)
        blended = pixels * (1 - alpha) + color * alpha
        return blended.round().clip(0, 255).astype(np.uint8)

    def _draw(self, height: int, width: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The mask's color float [3, H, W] and its coverage float [1, H, W] in [0, 1]."""
        s = self.settings
        scale_x, scale_y = width * _OVERSAMPLE, height * _OVERSAMPLE
        dx, dtop, dbottom, dwidth = rng.normal(0, s.jitter / 2, 4).clip(-s.jitter, s.jitter)
        x, half = s.center + dx, s.half_width + dwidth
        top, bottom = s.top + dtop, s.bottom + dbottom
        tall = bottom - top

        def at(u: float, v: float) -> tuple[float, float]:
            """From mask coordinates (u across in −1..1, v down in 0..1) to pixels of the large canvas."""
            return (x + half * u) * scale_x, (top + tall * v) * scale_y

        fabric = np.array(_FABRICS[rng.choice(len(_FABRICS), p=[0.42, 0.2, 0.14, 0.1, 0.06, 0.08])], float)
        base = Image.new("RGB", (scale_x, scale_y))
        cover = Image.new("L", (scale_x, scale_y), 0)
        paint, stencil = ImageDraw.Draw(base), ImageDraw.Draw(cover)
        outline = [
            at(*p)
            for p in (
                (-1.0, 0.16), (-0.55, 0.1), (-0.25, 0.02), (0.0, -0.04), (0.25, 0.02), (0.55, 0.1), (1.0, 0.16),
                (0.97, 0.5), (0.8, 0.78), (0.45, 0.97), (0.0, 1.02), (-0.45, 0.97), (-0.8, 0.78), (-0.97, 0.5),
            )
        ]  # fmt: skip
        strap = max(1, round(0.012 * scale_x))
        for side in (-1, 1):
            for v, ear in ((0.18, -0.12), (0.75, 0.3)):
                line = [at(side * 0.97, v), at(side * 1.45, ear)]
                stencil.line(line, fill=230, width=strap)
                paint.line(line, fill=_rgb(fabric * 0.92), width=strap)
        stencil.polygon(outline, fill=255)
        paint.polygon(outline, fill=_rgb(fabric))
        for v in (0.32, 0.48, 0.64):  # pleats: a dark fold over a light one
            for shift, shade in ((0.0, 0.84), (0.035, 1.07)):
                fold = [at(u, v + shift + 0.05 * (1 - u * u)) for u in np.linspace(-0.82, 0.82, 9)]
                paint.line(fold, fill=_rgb(fabric * shade), width=max(1, round(0.011 * scale_y)))
        paint.line([*outline[:7]], fill=_rgb(fabric * 0.86), width=max(1, round(0.012 * scale_y)))

        shading = 1.06 - 0.22 * (np.linspace(-1, 1, width) - 2 * dx) ** 2
        color = np.asarray(base.resize((width, height), Image.Resampling.BOX), float).transpose(2, 0, 1)
        alpha = np.asarray(cover.resize((width, height), Image.Resampling.BOX), float)[None] / 255
        edge = alpha.clip(1e-3)  # the canvas is black where nothing is painted: undo its share at the edge
        return (color / edge).clip(0, 255) * shading, alpha


def _rgb(color: np.ndarray) -> tuple[int, int, int]:
    red, green, blue = color.clip(0, 255).round().astype(int).tolist()
    return red, green, blue
