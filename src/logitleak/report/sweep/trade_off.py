"""Attack accuracy against likeness (Fig. 7 and 9 of the paper): a dot for each value of one setting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import hypot

from logitleak.report.parts import legend
from logitleak.report.parts.svg import DASHES, Canvas, Scale, axes, short
from logitleak.report.sweep.load import NONE, Cell, Show, Sweep
from logitleak.report.sweep.pooling import ordered, pooled

WIDTH, HEIGHT = 460, 250
LEFT = 48
SMALLEST, LARGEST = 3.5, 11.0
"""Radii; the smallest is what the value zero has."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Dot:
    """One value of the setting: its label, its radius, accuracy and SSIM."""

    label: str
    radius: float
    accuracy: float
    ssim: float


def trade_offs(sweep: Sweep, show: Show, cells: Sequence[Cell]) -> dict[str, str]:
    """Figures by the label of their panel, all with the same scales and the same series."""
    by = list(dict.fromkeys(["attack", *show.rows, *show.columns]))
    by = [axis for axis in by if axis not in show.panels and len({cell.axes.get(axis) for cell in cells}) > 1]
    radii = _radii(list(dict.fromkeys(cell.axes.get(str(show.size), NONE) for cell in cells)))
    panels = {
        panel: {
            series: _dots(sweep, str(show.size), inner, radii)
            for series, inner in ordered(sweep, outer, by).items()
        }
        for panel, outer in ordered(sweep, cells, show.panels).items()
    }
    dots = [dot for lines in panels.values() for line in lines.values() for dot in line]
    if not dots:
        return {}
    x = _scale([dot.accuracy for dot in dots], 0.2, LEFT, WIDTH - 20)
    order = list(ordered(sweep, cells, by))
    return {
        sweep.phrase(show.panels, panel): _figure(
            sweep, show, sweep.phrase(show.panels, panel), by, order, lines, x, dots
        )
        for panel, lines in panels.items()
        if any(lines.values())
    }


def _dots(sweep: Sweep, axis: str, cells: Sequence[Cell], radii: dict[str, float]) -> list[Dot]:
    """The dots of one series in the order of the setting; a cell without the setting is a series of one dot."""
    dots = []
    for (label,), group in ordered(sweep, cells, [axis]).items():
        accuracy, ssim = pooled(group, "accuracy"), pooled(group, "ssim")
        if accuracy and ssim:
            dots.append(Dot(label, radii[label], accuracy.value, ssim.value))
    return sorted(dots, key=lambda dot: dot.radius)


def _radii(labels: Sequence[str]) -> dict[str, float]:
    """Areas grow with the value; labels that are no numbers grow by their place."""
    named = [label for label in labels if label != NONE]
    try:
        numbers = {label: float(label) for label in named}
    except ValueError:
        numbers = {label: float(place) for place, label in enumerate(named)}
    low, high = min(numbers.values(), default=0.0), max(numbers.values(), default=1.0)
    floor = min(low, 0.0)
    span = (high - floor) or 1.0
    radii = {
        label: (SMALLEST**2 + (LARGEST**2 - SMALLEST**2) * (value - floor) / span) ** 0.5
        for label, value in numbers.items()
    }
    return radii | {NONE: SMALLEST * 1.4}


def _scale(values: Sequence[float], least: float, start: float, end: float) -> Scale:
    """A scale around the values, at least so wide that noise does not look like a difference."""
    low, high = min(values), max(values)
    margin = max(0.06 * (high - low), (least - (high - low)) / 2)
    return Scale(low - margin, high + margin, start, end)


def _figure(
    sweep: Sweep,
    show: Show,
    panel: str,
    by: Sequence[str],
    order: Sequence[tuple[str, ...]],
    lines: dict[tuple[str, ...], list[Dot]],
    x: Scale,
    everything: Sequence[Dot],
) -> str:
    names = [short(sweep.phrase(by, series), 40) for series in order] if by else []
    above = legend.height(names, WIDTH) + 28
    label = f"attack accuracy against mean SSIM, by {show.size}"
    canvas = Canvas(WIDTH, above + HEIGHT, ": ".join(filter(None, [show.title, panel, label])))
    looks = legend.styles(len(order))
    legend.draw(canvas, names, looks[: len(names)], 0, WIDTH)
    y = _scale([dot.ssim for dot in everything], 0.1, above + HEIGHT - 52, above + 12)
    axes(canvas, x, y, "attack accuracy", "mean SSIM to the truth", [], lambda value: f"{value:.3g}")
    for tick in (tick for tick in x.ticks(5) if 0 <= tick <= 1):
        canvas.line(x(tick), y.start, x(tick), y.start + 4, stroke_opacity=0.7)
        canvas.text(x(tick), y.start + 17, f"{tick:.0%}", text_anchor="middle", font_size=11)
    taken = [
        _around(x(dot.accuracy), y(dot.ssim), dot.radius) for line in lines.values() for dot in line
    ]  # fmt: skip
    for index, series in enumerate(order):
        line = lines.get(series, [])
        places = [(x(dot.accuracy), y(dot.ssim)) for dot in line if dot.label != NONE]
        color = looks[index].color
        if len(places) > 1:
            canvas.polyline(
                places, stroke=color, stroke_width=1.2, stroke_opacity=0.8,
                stroke_dasharray=DASHES[index % len(DASHES)],
            )  # fmt: skip
            taken += _along(places)
        for dot in line:
            _dot(canvas, x(dot.accuracy), y(dot.ssim), dot, looks[index])
    for index, series in enumerate(order):
        for dot in lines.get(series, []):
            if dot.label != NONE:
                _label(canvas, x(dot.accuracy), y(dot.ssim), dot, looks[index].color, taken)
    return canvas.render()


def _dot(canvas: Canvas, x: float, y: float, dot: Dot, style: legend.Style) -> None:
    """The area says how much, the small mark in it which series."""
    if dot.label != NONE:
        canvas.add("circle", cx=x, cy=y, r=dot.radius, fill=style.color, fill_opacity=0.3, stroke=style.color)
    canvas.mark(style.shape, x, y, style.color, 2.6 if dot.label != NONE else 4.5)


def _label(canvas: Canvas, x: float, y: float, dot: Dot, color: str, taken: list[Box]) -> None:
    """Write the value where it covers least of what is there already."""
    wide, far = 6.2 * len(dot.label), dot.radius + 4
    near = far * 0.75
    tried = [
        (x + far + wide / 2, y), (x - far - wide / 2, y), (x, y - far - 4), (x, y + far + 5),
        (x + near + wide / 2, y - near - 3), (x - near - wide / 2, y - near - 3),
        (x + near + wide / 2, y + near + 4), (x - near - wide / 2, y + near + 4),
        (x, y - far - 17), (x, y + far + 18), (x + far + wide * 1.6, y - 11), (x - far - wide * 1.6, y + 11),
    ]  # fmt: skip
    boxes = [(px - wide / 2, py - 5, px + wide / 2, py + 5) for px, py in tried]
    inside = [index for index, box in enumerate(boxes) if box[0] > LEFT - 2 and box[2] < WIDTH]
    best = min(inside or range(len(boxes)), key=lambda i: sum(_overlap(boxes[i], other) for other in taken))
    taken.append(boxes[best])
    canvas.text(tried[best][0], tried[best][1] + 4, dot.label, text_anchor="middle", font_size=11, fill=color)


def _around(x: float, y: float, radius: float) -> Box:
    return x - radius, y - radius, x + radius, y + radius


def _along(places: Sequence[tuple[float, float]]) -> list[Box]:
    """A line as small boxes, so that labels keep off it."""
    boxes = []
    for (x1, y1), (x2, y2) in pairwise(places):
        count = max(1, int(hypot(x2 - x1, y2 - y1) / 5))
        steps = [step / count for step in range(count + 1)]
        boxes += [_around(x1 + (x2 - x1) * step, y1 + (y2 - y1) * step, 1.5) for step in steps]
    return boxes


def _overlap(a: Box, b: Box) -> float:
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    return wide * high if wide > 0 and high > 0 else 0.0
