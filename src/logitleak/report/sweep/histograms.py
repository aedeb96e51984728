"""Distributions of a sweep: entropies (Fig. 3 of the paper) and likeness among clients (Fig. 4, left)."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from logitleak.report.parts.load import table
from logitleak.report.parts.svg import CLIENTS, MID_GRAY, Canvas, Scale, axes
from logitleak.report.run.figures import entropies, normal, steps
from logitleak.report.sweep.load import Cell, Show, Sweep
from logitleak.report.sweep.pooling import ordered

WIDTH, HEIGHT = 460, 260
LEFT, TOP, BOTTOM = 44, 46, 214
BINS = 20


def confidence(sweep: Sweep, show: Show, cells: Sequence[Cell]) -> dict[str, dict[str, str]]:
    """Two figures, "confidence-public" and "confidence-private", for every panel that has entropies."""
    figures = {}
    for labels, group in ordered(sweep, cells, show.places).items():
        ids = dict.fromkeys(cell.federation for cell in group)
        numbers = [table(sweep.metrics(id), "confidence") for id in ids]
        usable = [one for one in numbers if one.get("bins")]
        # Only histograms with the same bins can be averaged: entropy ends at the logarithm of the classes.
        alike = [one for one in usable if one["bins"] == usable[0]["bins"]]
        name = sweep.phrase(show.places, labels)
        if len(alike) < len(usable):
            name += f", {len(alike)} of {len(usable)} federations (the others have other classes)"
        drawn = entropies(_mean(alike), name)
        if drawn:
            figures[name] = drawn
    return figures


def _mean(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The mean of histograms with the same bins."""
    if not found:
        return {}
    sides = [side for side in found[0] if side != "bins" and all(one.get(side) for one in found)]
    means = {
        side: [
            statistics.fmean(heights) for heights in zip(*(normal(one[side]) for one in found), strict=True)
        ]
        for side in sides
    }
    return {"bins": found[0]["bins"], **means}


def client_ssim(sweep: Sweep, show: Show, cells: Sequence[Cell]) -> dict[str, str]:
    """A figure for every panel and attack: owners' likeness to the other clients, and the others'."""
    by = list(dict.fromkeys([*show.places, "attack"]))
    found = {}
    for labels, group in ordered(sweep, cells, by).items():
        owner, others = _values(sweep, group, "owner"), _values(sweep, group, "others")
        if owner and others:
            found[sweep.phrase(by, labels)] = (owner, others)
    values = [value for pair in found.values() for side in pair for value in side]
    if not values:
        return {}
    # The same bins and the same height in every panel: the eye compares them.
    low, high = min(values), max(values)
    width = (high - low or 1.0) / BINS
    edges = [low + index * width for index in range(BINS + 1)]
    shares = {name: [_histogram(side, edges) for side in pair] for name, pair in found.items()}
    top = max(height for pair in shares.values() for heights in pair for height in heights)
    return {name: _panel(name, found[name], shares[name], edges, top) for name in found}


def _values(sweep: Sweep, cells: Sequence[Cell], side: str) -> list[float]:
    results = [sweep.result(cell) for cell in {cell.id: cell for cell in cells}.values()]
    return [v for one in results for v in table(one, "client_ssim").get(side) or [] if v is not None]


def _panel(
    name: str,
    values: Sequence[Sequence[float]],
    shares: Sequence[Sequence[float]],
    edges: Sequence[float],
    top: float,
) -> str:
    canvas = Canvas(
        WIDTH, HEIGHT, f"{name}: mean SSIM to the other clients' reconstructions, owners and others"
    )
    x, y = Scale(edges[0], edges[-1], LEFT, WIDTH - 16), Scale(0, top * 1.08, BOTTOM, TOP)
    axes(
        canvas, x, y, "mean SSIM to the other clients' reconstructions", "", x.ticks(7), lambda v: f"{v:.0%}"
    )
    canvas.text(4, 16, "share of reconstructions", font_weight=600)
    sides = (("owner", CLIENTS, ""), ("others", MID_GRAY, "6 3"))
    for row, (side, color, dash) in enumerate(sides):
        stroke = {"stroke": color, "stroke_width": 2, "stroke_dasharray": dash}
        canvas.polyline(steps(edges, shares[row], x, y), fill=color, fill_opacity=0.14, **stroke)
        middle = x(statistics.median(values[row]))
        canvas.line(
            middle, y.start, middle, y.end - 6, stroke=color, stroke_width=1.5, stroke_dasharray="2 2"
        )
        canvas.line(x.end - 122, 12 + 15 * row, x.end - 98, 12 + 15 * row, **stroke)
        canvas.text(x.end - 92, 16 + 15 * row, f"{side} ({len(values[row])})", fill=color, font_weight=600)
    return canvas.render()


def _histogram(values: Sequence[float], edges: Sequence[float]) -> list[float]:
    counts = [0.0] * (len(edges) - 1)
    for value in values:
        place = int((value - edges[0]) / (edges[1] - edges[0]))
        counts[min(max(place, 0), len(counts) - 1)] += 1
    return normal(counts)
