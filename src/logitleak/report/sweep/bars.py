"""Bars of a sweep: the values of a table as grouped bars with whiskers, a figure for each panel."""

from __future__ import annotations

from collections.abc import Sequence

from logitleak.report.parts import legend
from logitleak.report.parts.svg import Canvas, Scale, number, short
from logitleak.report.sweep.load import Cell, Show, Sweep
from logitleak.report.sweep.pooling import NAMES, Value, in_percent, ordered, pooled

LEFT, PLOT, GAP = 48, 190, 26
BAR = 22
LINES = 15


def bars(sweep: Sweep, show: Show, cells: Sequence[Cell]) -> dict[str, str]:
    """Figures by the label of their panel; all of them have the same vertical scale and the same series."""
    values = {
        panel: {
            line: {
                column: pooled(group, show.value)
                for column, group in ordered(sweep, inner, show.columns).items()
            }
            for line, inner in ordered(sweep, outer, show.rows).items()
        }
        for panel, outer in ordered(sweep, cells, show.panels).items()
    }
    series = list(ordered(sweep, cells, show.columns))
    names = [short(sweep.phrase(show.columns, labels), 40) or NAMES[show.value] for labels in series]
    known = [v for lines in values.values() for line in lines.values() for v in line.values() if v]
    if not known:
        return {}
    scale = min([0.0, *(value.low for value in known)]), max([1.0, *(value.high for value in known)])
    return {
        sweep.phrase(show.panels, panel): _figure(
            sweep, show, lines, series, names, scale, sweep.phrase(show.panels, panel)
        )
        for panel, lines in values.items()
    }


def _figure(
    sweep: Sweep,
    show: Show,
    lines: dict[tuple[str, ...], dict[tuple[str, ...], Value | None]],
    series: Sequence[tuple[str, ...]],
    names: Sequence[str],
    scale: tuple[float, float],
    panel: str,
) -> str:
    labels = [
        [short(sweep.said(axis, label), 22) for axis, label in zip(show.rows, line, strict=True)]
        for line in lines
    ]
    group = max([BAR * len(series), *(legend.wide(text) for words in labels for text in words)]) + GAP
    width = max(360.0, LEFT + group * len(lines) + 12)
    above = legend.height(names, width) + 32
    canvas = Canvas(
        width,
        above + PLOT + 12 + LINES * max(1, len(show.rows)),
        ": ".join(filter(None, [show.title, panel])),
    )
    legend.draw(canvas, names, legend.styles(len(series)), 0, width)
    y = Scale(*scale, above + PLOT, above)
    share = in_percent(show.value)
    for tick in y.ticks(4):
        canvas.line(LEFT, y(tick), width, y(tick), stroke_opacity=0.18)
        said = f"{tick:.0%}" if share else number(tick)
        canvas.text(LEFT - 7, y(tick) + 4, said, text_anchor="end", font_size=11)
    canvas.text(4, above - 14, short(NAMES[show.value], int(width / legend.LETTER)), font_size=11)
    canvas.line(LEFT, y(0), width, y(0), stroke_opacity=0.7)
    for index, (line, words) in enumerate(zip(lines.values(), labels, strict=True)):
        middle = LEFT + group * (index + 0.5)
        for row, text in enumerate(words):
            canvas.text(middle, y.start + 17 + LINES * row, text, text_anchor="middle")
        _group(canvas, middle, y, [line.get(column) for column in series])
    return canvas.render()


def _group(canvas: Canvas, middle: float, y: Scale, values: Sequence[Value | None]) -> None:
    looks = legend.styles(len(values))
    for index, (value, style) in enumerate(zip(values, looks, strict=True)):
        x = middle + BAR * (index - (len(values) - 1) / 2)
        if value is None:
            canvas.text(x, y(0) - 5, "–", text_anchor="middle", font_size=11)
            continue
        top, bottom = sorted((y(value.value), y(0)))
        canvas.add(
            "rect",
            x=x - 8, y=top, width=16, height=bottom - top, fill=style.color, fill_opacity=0.4,
        )  # fmt: skip
        canvas.line(x, y(value.low), x, y(value.high), stroke_width=1.5)
        for end in (value.low, value.high):
            canvas.line(x - 4, y(end), x + 4, y(end), stroke_width=1.5)
        canvas.mark(style.shape, x, y(value.value), style.color, 4.5)
