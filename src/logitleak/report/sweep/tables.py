"""Tables of a sweep: pooled values on the combinations of some axes, with the paper's numbers beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from logitleak.report.parts.load import table
from logitleak.report.parts.svg import PALETTE
from logitleak.report.parts.words import percent
from logitleak.report.sweep import paper
from logitleak.report.sweep.load import Cell, Show, Sweep, spelled
from logitleak.report.sweep.pooling import (
    LEAKS,
    NAMES,
    SHARES,
    Value,
    distinct,
    ordered,
    pooled,
    pooled_over,
)

BAR_COLUMNS = 4
"""In a wider table the bars would push the numbers off the page."""

DENSE = 6
"""A table of more columns is set closer."""

FINE = 100
"""From so many trials on a share has a decimal."""


def tables(sweep: Sweep, show: Show, cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """A table for every combination of the panels' axes."""
    panels = ordered(sweep, cells, show.panels)
    return [
        {"heading": sweep.phrase(show.panels, labels), **_table(sweep, show, group)}
        for labels, group in panels.items()
    ]


def caption(sweep: Sweep, show: Show, cells: Sequence[Cell]) -> str:
    """What the numbers of a table, or of a figure with whiskers, are."""
    series = ["attack"] if show.kind == "sharing" else []
    over = pooled_over(distinct(cells, show.value), [*show.places, *series])
    said = f"{NAMES[show.value][0].upper()}{NAMES[show.value][1:]}"
    share, bars = show.value in SHARES, show.kind in ("bars", "sharing")
    if share:
        where = "as a whisker" if bars else "in brackets"
        sentences = [f"{said}: share of targets, with its Wilson 95% interval {where}."]
    elif show.value in LEAKS:
        where = "as a whisker" if bars else "in brackets"
        pairs = f"; with Newcombe’s 95% interval {where} where every target was seen in and out"
        sentences = [f"{said}, in percentage points{pairs}."]
    else:
        where = "the whisker goes" if bars else "below it"
        sentences = [f"{said}; of several cells the mean, and {where} from the least to the greatest."]
    if over:
        sentences.append(f"Pooled over {_listed(over)}.")
    if any(not one.endswith(" seeds") for one in over):
        sentences.append("Pooling over settings mixes what may differ; name the axis to tell them apart.")
        if share:
            sentences.append("It may count the same targets again, and then the interval is too narrow.")
    if show.paper and show.value == "accuracy" and not bars:
        sentences += _paper_caption(sweep, show, cells)
    elif show.paper:
        sentences.append("The paper’s numbers stand in tables of attack accuracy only.")
    return " ".join(sentences)


def _paper_caption(sweep: Sweep, show: Show, cells: Sequence[Cell]) -> list[str]:
    names = paper.CAPTIONS[str(show.paper)]
    kinds = {
        table(sweep.metrics(cell.federation), "data").get("synthetic") for cell in cells if cell.federation
    }
    other = (
        "Data here are synthetic, the paper’s are photographs: numbers are compared across data."
        if True in kinds
        else "The paper’s data are FaceScrub, LAG and LFW as its authors prepared them."
    )
    return [
        f"Paper: Takahashi, Liu and Liu, CVPR 2023, {names}, 200 targets; the difference is ours less the paper’s, in "
        f"percentage points. {other} “Outside” means that the paper’s number lies outside our interval."
    ]


def _table(sweep: Sweep, show: Show, cells: Sequence[Cell]) -> dict[str, Any]:
    columns = list(ordered(sweep, cells, show.columns))
    lines = ordered(sweep, cells, show.rows)
    body = []
    spans = [_spans(list(lines), level) for level in range(len(show.rows))]
    for index, (labels, group) in enumerate(lines.items()):
        by_column = ordered(sweep, group, show.columns)
        body.append(
            {
                "heads": [
                    (spelled(axis, label), span[index])
                    for axis, label, span in zip(show.rows, labels, spans, strict=True)
                    if index in span
                ],
                "cells": [_entry(sweep, show, by_column.get(column, []), len(columns)) for column in columns],
            }
        )
    return {
        "axes": show.rows,
        "dense": len(columns) > DENSE,
        "heads": [_head(sweep, axis, columns, level) for level, axis in enumerate(show.columns)],
        "value": NAMES[show.value],
        "body": body,
    }


def _head(sweep: Sweep, axis: str, columns: list[tuple[str, ...]], level: int) -> list[tuple[str, int]]:
    """One line of the head: labels with the number of columns that they stand over."""
    return [(sweep.said(axis, columns[index][level]), span) for index, span in _spans(columns, level).items()]


def _spans(combinations: Sequence[tuple[str, ...]], level: int) -> dict[int, int]:
    """Where a label of one level begins and how many combinations it holds for."""
    spans: dict[int, int] = {}
    begin = 0
    for index, labels in enumerate(combinations):
        if index == 0 or labels[: level + 1] != combinations[index - 1][: level + 1]:
            begin = index
        spans[begin] = index - begin + 1
    return spans


def _entry(sweep: Sweep, show: Show, cells: Sequence[Cell], columns: int) -> dict[str, Any]:
    """One place of the table; where it has no number, why."""
    value = pooled(cells, show.value)
    if value is None:
        return {"value": None, "why": _why(cells)}
    done = sum(cell.status == "finished" for cell in cells)
    entry: dict[str, Any] = {
        "value": shown(value, show.value, fine=bool(show.paper)),
        "count": f"{value.successes}/{value.trials}" if value.successes is not None else "",
        "interval": f"{value.low * 100:.0f}–{value.high * 100:.0f}" if value.trials else "",
        "bar": _bar(sweep, cells, value) if value.successes is not None and columns <= BAR_COLUMNS else None,
        "range": _range(value, show.value),
        "partial": f"{done} of {len(cells)} cells" if done < len(cells) else "",
        "paper": _paper(sweep, show, cells, value),
    }
    if show.value == "utility" and (server := pooled(cells, "utility_server")):
        entry["range"] = " · ".join(filter(None, [entry["range"], f"server {percent(server.value)}"]))
    return entry


def _why(cells: Sequence[Cell]) -> str:
    if not cells:
        return "not in the grid"
    found = {cell.status for cell in cells}
    return found.pop() if len(found) == 1 and found != {"finished"} else "no number"


def shown(value: Value, name: str, fine: bool = False) -> str:
    """A value as text; a share with one decimal where its trials or a comparison bear it; a leak in points."""
    if name in LEAKS:
        return f"{100 * value.value:+.0f}"
    if name in SHARES and (fine or (value.trials or 0) >= FINE):
        return f"{value.value:.1%}"
    return percent(value.value) if name in SHARES or name == "utility" else f"{value.value:.3f}"


def _range(value: Value, name: str) -> str:
    if value.count < 2:
        return ""
    if name in SHARES or name == "utility":
        return f"{value.count} {value.unit}: {value.least * 100:.0f}–{value.most * 100:.0f}%"
    if name in LEAKS:
        return f"{value.count} {value.unit}: {value.least * 100:+.0f} to {value.most * 100:+.0f}"
    return f"{value.count} {value.unit}: {value.least:.3f}–{value.most:.3f}"


def _bar(sweep: Sweep, cells: Sequence[Cell], value: Value) -> Any:
    from markupsafe import Markup

    from logitleak.report.parts.marks import share_bar

    share = {"value": value.value, "low": value.low, "high": value.high}
    return Markup(share_bar(share, None, color(sweep, cells)))


def color(sweep: Sweep, cells: Sequence[Cell]) -> str:
    """The color of the cells' attack, the same in every table."""
    attacks = sweep.labels("attack")
    attack = cells[0].axes.get("attack")
    return PALETTE[attacks.index(attack) % len(PALETTE)] if attack in attacks else PALETTE[0]


def _paper(sweep: Sweep, show: Show, cells: Sequence[Cell], value: Value) -> dict[str, Any] | None:
    if not show.paper or show.value != "accuracy":
        return None
    number = paper.number(sweep, show, cells)
    if number is None:
        return None
    points = value.value * 100 - number
    return {
        "number": f"{number:.1f}%",
        "points": f"{points:+.1f}".replace("-", "−"),
        "outside": not value.low * 100 <= number <= value.high * 100,
    }


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
