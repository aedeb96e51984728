"""The legend of a figure with many series: marks and names in lines as wide as the figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from logitleak.report.parts.svg import PALETTE, SHAPES, Canvas

LETTER = 6.4
"""Width of a letter of 12 px, a little more than most have."""

LINE = 17


@dataclass(frozen=True)
class Style:
    """How a series looks: color and mark together are its own, for a dozen series and more."""

    color: str
    shape: str


def styles(count: int) -> list[Style]:
    """A style for each of so many series."""
    turns = len(PALETTE)
    return [
        Style(PALETTE[index % turns], SHAPES[(index + index // turns) % len(SHAPES)])
        for index in range(count)
    ]


def height(names: Sequence[str], width: float) -> float:
    """What the legend takes up."""
    return LINE * (max((line for line, _ in _places(names, width)), default=-1) + 1)


def draw(canvas: Canvas, names: Sequence[str], looks: Sequence[Style], top: float, width: float) -> None:
    """Draw the legend from `top` downward."""
    for (line, left), name, style in zip(_places(names, width), names, looks, strict=True):
        y = top + LINE * line + LINE / 2
        canvas.mark(style.shape, left + 8, y, style.color, 4.5)
        canvas.text(left + 18, y + 4, name)


def wide(text: str) -> float:
    """About how wide a text of 12 px is."""
    return LETTER * len(text)


def _places(names: Sequence[str], width: float) -> list[tuple[int, float]]:
    """Line and left end of every entry."""
    places = []
    line, left = 0, 0.0
    for name in names:
        need = 18 + wide(name) + 16
        if left and left + need > width:
            line, left = line + 1, 0.0
        places.append((line, left))
        left += need
    return places
