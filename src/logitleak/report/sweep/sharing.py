"""Leak against how shared the classes are: a dot for each partition, by how many clients a target's class is at."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from logitleak.report.parts import legend
from logitleak.report.parts.load import table
from logitleak.report.parts.svg import DASHES, Canvas, Scale, axes, short
from logitleak.report.sweep.load import Cell, Show, Sweep
from logitleak.report.sweep.pooling import NAMES, Value, in_percent, ordered, pooled

WIDTH, HEIGHT = 560, 290
LEFT = 48


@dataclass(frozen=True)
class Dot:
    """One partition: its label, how many clients a class is at, and the value with its interval."""

    label: str
    clients: float
    value: Value


def holders(counts: Sequence[Sequence[int]]) -> float:
    """How many clients a class is at, on average over classes that somebody has: the exponential of the entropy of its
    images among clients, so that all of K with equal shares are K, and one with nearly all is nearly 1.

    Args:
        counts: images by client and class.
    """
    found = []
    for column in zip(*counts, strict=True):
        if total := sum(column):
            shares = [count / total for count in column if count]
            found.append(math.exp(-sum(share * math.log(share) for share in shares)))
    return statistics.fmean(found) if found else 0.0


def sharing(sweep: Sweep, show: Show, cells: Sequence[Cell]) -> dict[str, str]:
    """Figures by the label of their panel: a dot for every combination of rows, a series for every attack and
    combination of columns; all of them have the same scales and the same series."""
    by = list(dict.fromkeys(["attack", *show.columns]))
    panels = {
        panel: {series: _dots(sweep, show, inner) for series, inner in ordered(sweep, outer, by).items()}
        for panel, outer in ordered(sweep, cells, show.panels).items()
    }
    dots = [dot for lines in panels.values() for line in lines.values() for dot in line]
    if not dots:
        return {}
    most = max(2.0, *(dot.clients for dot in dots))
    low = min([0.0, *(dot.value.low for dot in dots)])
    high = max([1.0, *(dot.value.high for dot in dots)])
    order = list(ordered(sweep, cells, by))
    names = [short(sweep.phrase(by, series), 40) for series in order]
    found = {}
    for panel, lines in panels.items():
        if any(lines.values()):
            name = sweep.phrase(show.panels, panel)
            found[name] = _figure(show, name, names, [lines.get(s, []) for s in order], most, (low, high))
    return found


def _dots(sweep: Sweep, show: Show, cells: Sequence[Cell]) -> list[Dot]:
    """The dots of one series, in the order of how shared classes are."""
    dots = []
    for labels, group in ordered(sweep, cells, show.rows).items():
        value = pooled(group, show.value)
        clients = [_clients(sweep, federation) for federation in {cell.federation for cell in group}]
        known = [one for one in clients if one is not None]
        if value and known:
            dots.append(Dot(sweep.phrase(show.rows, labels), statistics.fmean(known), value))
    return sorted(dots, key=lambda dot: dot.clients)


def _clients(sweep: Sweep, federation: str) -> float | None:
    """How many clients a class is at; one where everybody is at one client, None where nothing is known."""
    data = table(sweep.metrics(federation), "data")
    return None if not data else holders(counts) if (counts := data.get("holdings")) else 1.0


def _figure(
    show: Show,
    panel: str,
    names: Sequence[str],
    lines: Sequence[Sequence[Dot]],
    most: float,
    ends: tuple[float, float],
) -> str:
    above = legend.height(names, WIDTH) + 28
    label = f"{NAMES[show.value]}, by how many clients a class is at"
    canvas = Canvas(WIDTH, above + HEIGHT, ": ".join(filter(None, [show.title, panel, label])))
    looks = legend.styles(len(lines))
    legend.draw(canvas, names, looks, 0, WIDTH)
    x = Scale(1 - 0.03 * (most - 1), most * 1.03, LEFT, WIDTH - 14)
    y = Scale(*ends, above + HEIGHT - 78, above + 12)
    title = short(NAMES[show.value], int(WIDTH / legend.LETTER))
    said = "{:.0%}" if in_percent(show.value) else "{:g}"
    axes(canvas, x, y, "clients that a class is at (exponential of the entropy of its images)", title,
         [tick for tick in x.ticks(6) if tick >= 1], said.format)  # fmt: skip
    for index, (line, style) in enumerate(zip(lines, looks, strict=True)):
        # series that share a place stand beside each other
        places = [(x(dot.clients) + 5 * (index - (len(lines) - 1) / 2), dot) for dot in line]
        if len(places) > 1:
            canvas.polyline(
                [(at, y(dot.value.value)) for at, dot in places], stroke=style.color, stroke_width=1.2,
                stroke_opacity=0.8, stroke_dasharray=DASHES[index % len(DASHES)],
            )  # fmt: skip
        for at, dot in places:
            canvas.line(at, y(dot.value.low), at, y(dot.value.high), stroke=style.color, stroke_width=1.5)
            canvas.mark(style.shape, at, y(dot.value.value), style.color, 4.5)
    _name(canvas, x, y.start + 50, [dot for line in lines for dot in line])
    return canvas.render()


def _name(canvas: Canvas, x: Scale, top: float, dots: Sequence[Dot]) -> None:
    """Write partitions under the axis, each where its dots are on average, on two lines in turn."""
    places: dict[str, list[float]] = {}
    for dot in dots:
        places.setdefault(dot.label, []).append(dot.clients)
    means = sorted((statistics.fmean(found), label) for label, found in places.items())
    near = {after for (a, _), (b, after) in pairwise(means) if x(b) - x(a) < 90}
    line = 0
    for at, label in means:
        line = (line + 1) % 2 if label in near else 0
        half = legend.wide(label) / 2
        middle = min(max(x(at), half), WIDTH - half)
        canvas.text(middle, top + 14 * line, label, text_anchor="middle", font_size=11)
