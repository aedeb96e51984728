"""What figures of attacks share: their size, and how an attack looks, the same in every one."""

from __future__ import annotations

from collections.abc import Sequence

from logitleak.report.parts.load import Run
from logitleak.report.parts.svg import DASHES, MID_GRAY, PALETTE, SHAPES, Canvas, Scale, short, spread

WIDTH, HEIGHT = 460, 270
LEFT, TOP, BOTTOM = 44, 34, 224


def style(run: Run, name: str) -> tuple[str, str, str]:
    """Color, dash pattern and marker of an attack: the same in every figure; rivals are gray."""
    names = [attack.name for attack in run.audited]
    if name not in names:
        rival = [attack.name for attack in run.rivals].index(name)
        return MID_GRAY, DASHES[(rival + 2) % len(DASHES)], SHAPES[(rival + 3) % len(SHAPES)]
    index = names.index(name)
    return PALETTE[index % len(PALETTE)], DASHES[index % len(DASHES)], SHAPES[index % len(SHAPES)]


def whisker(
    canvas: Canvas, x: Scale, y: float, low: float, high: float, color: str, width: float = 2
) -> None:
    """An interval that lies flat."""
    canvas.line(x(low), y, x(high), y, stroke=color, stroke_width=width)
    for end in (x(low), x(high)):
        canvas.line(end, y - 4, end, y + 4, stroke=color, stroke_width=width)


def beside(index: int, count: int) -> float:
    """How far the whiskers of one line out of some are moved: over each other they could not be told apart."""
    return (index - (count - 1) / 2) * 6


def curve(
    canvas: Canvas, places: Sequence[tuple[float, float]], look: tuple[str, str, str]
) -> tuple[float, str]:
    """A line with its marks, in a color, a dash pattern and a marker; the height where it ends, and its color."""
    color, dash, shape = look
    canvas.polyline(places, stroke=color, stroke_width=2, stroke_dasharray=dash)
    for place, height in places:
        canvas.mark(shape, place, height, color)
    return places[-1][1], color


def upright(canvas: Canvas, place: float, low: float, high: float, color: str) -> None:
    """The interval at one mark of a curve."""
    canvas.line(place, low, place, high, stroke=color, stroke_width=1.5, stroke_opacity=0.55)


def end_labels(canvas: Canvas, ends: Sequence[tuple[str, float, str]], x: float) -> None:
    """Names of lines where they end, moved apart."""
    for (name, _, color), place in zip(ends, spread([end[1] for end in ends], 14, TOP, BOTTOM), strict=True):
        canvas.text(x, place + 4, short(name), fill=color, font_weight=600)
