"""The figures of the report as SVG text: one function for each, and one that draws all that the run allows.

A figure that lacks its numbers is not drawn; the page says why.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from logitleak.report.parts.games import share
from logitleak.report.parts.load import Attack, Run, rows, table
from logitleak.report.parts.series import (
    BOTTOM,
    HEIGHT,
    LEFT,
    TOP,
    WIDTH,
    beside,
    curve,
    end_labels,
    style,
    upright,
)
from logitleak.report.parts.svg import CLIENTS, MID_GRAY, SERVER, Canvas, Scale, axes, short
from logitleak.report.run import curves, leak_figures
from logitleak.report.run.accuracy import accuracy
from logitleak.report.run.holdings import holdings

Reader = Callable[[dict[str, Any]], tuple[float, float, float] | None]

SWARM = 300


def draw_all(run: Run) -> dict[str, str]:
    """Every figure that the run has numbers for, by file name without suffix."""
    drawn = {
        "leak-in-out": leak_figures.in_out(run),
        "leak-interval": leak_figures.interval(run),
        "rounds-leak": leak_figures.rounds_leak(run),
        "accuracy": accuracy(run),
        "rounds-accuracy": rounds_accuracy(run),
        "rounds-ssim": rounds_ssim(run),
        "client-ssim": client_ssim(run),
        "holdings": holdings(run),
        "utility-rounds": curves.utility_rounds(run),
        **confidence(run),
        **curves.federation_losses(run),
        **curves.attack_losses(run),
    }
    return {name: svg for name, svg in drawn.items() if svg is not None}


def rounds_accuracy(run: Run) -> str | None:
    """Fig. 5, above: accuracy over the attacked rounds, with intervals."""

    def read(entry: dict[str, Any]) -> tuple[float, float, float] | None:
        share = table(entry, "accuracy")
        value = share.get("value")
        if value is None:
            return None
        return value, share.get("low", value), share.get("high", value)

    levels = {
        attack.name: found["value"] for attack in run.rivals if (found := share(attack.numbers, "accuracy"))
    }
    label = "The paper’s measure: accuracy of each attack over the rounds, with 95% intervals"
    return _over_rounds(run, label, "targets rebuilt (the paper’s measure)", read, levels, percent=True)


def rounds_ssim(run: Run) -> str | None:
    """Fig. 5, below: mean SSIM to the truth over the attacked rounds."""

    def read(entry: dict[str, Any]) -> tuple[float, float, float] | None:
        value = entry.get("ssim")
        return None if value is None else (value, value, value)

    means = {attack.name: table(attack.numbers, "mean").get("ssim") for attack in run.rivals}
    levels = {name: value for name, value in means.items() if value is not None}
    return _over_rounds(
        run, "Mean SSIM of each attack over the rounds", "mean SSIM to the truth", read, levels
    )


def _over_rounds(
    run: Run,
    label: str,
    y_title: str,
    read: Reader,
    levels: dict[str, float],
    percent: bool = False,
) -> str | None:
    read_all = {attack.name: _points(attack, read) for attack in run.audited}
    series = {name: points for name, points in read_all.items() if points}
    if not series:
        return None
    rounds = sorted({point[0] for points in series.values() for point in points})
    canvas = Canvas(WIDTH, HEIGHT, label)
    span = 0.5 if len(rounds) == 1 else 0.06 * (rounds[-1] - rounds[0])
    x = Scale(rounds[0] - span, rounds[-1] + span, LEFT, WIDTH - 92)
    lowest = min([point[2] for points in series.values() for point in points] + list(levels.values()))
    y = Scale(0 if percent else min(0.0, lowest), 1, BOTTOM, TOP)
    ticks = rounds if len(rounds) <= 10 else [tick for tick in x.ticks(8) if tick == int(tick)]
    format_ = (lambda value: f"{value:.0%}") if percent else (lambda value: f"{value:.1f}")
    axes(canvas, x, y, "round", y_title, ticks, format_)
    ends: list[tuple[str, float, str]] = []
    for name, level in levels.items():
        canvas.line(x.start, y(level), x.end, y(level), stroke=MID_GRAY, stroke_dasharray=style(run, name)[1])
        ends.append((name, y(level), MID_GRAY))
    for index, (name, points) in enumerate(series.items()):
        look = style(run, name)
        shift = beside(index, len(series)) if percent else 0
        places = [(x(round_) + shift, y(value)) for round_, value, _, _ in points]
        for (place, _), (_, _, low, high) in zip(places, points, strict=True):
            upright(canvas, place, y(low), y(high), look[0])
        ends.append((name, *curve(canvas, places, look)))
    end_labels(canvas, ends, x.end + 8)
    return canvas.render()


def _points(attack: Attack, read: Reader) -> list[tuple[float, float, float, float]]:
    """Round, value, low and high of every round that has a value."""
    points = []
    for entry in rows(attack.numbers, "rounds"):
        found = read(entry)
        if found is not None and entry.get("round") is not None:
            points.append((entry["round"], *found))
    return points


def confidence(run: Run) -> dict[str, str]:
    """Fig. 3: how sure the server's and the clients' models are on public and on private images."""
    return entropies(table(run.metrics, "confidence"))


def entropies(numbers: dict[str, Any], of: str = "") -> dict[str, str]:
    """The two panels of Fig. 3 out of `confidence` in metrics.json; none where a histogram is missing.

    Args:
        numbers: edges of the bins, and a histogram for each party and side.
        of: what their text alternative says beside that, where there are several.
    """
    edges = numbers.get("bins") or []
    found = {
        side: [numbers.get(f"server_{side}") or [], numbers.get(f"client_{side}") or []]
        for side in ("public", "private")
    }
    if len(edges) < 2 or any(len(heights) != len(edges) - 1 for pair in found.values() for heights in pair):
        return {}
    shares = {side: [normal(heights) for heights in pair] for side, pair in found.items()}
    # One vertical scale for both sides: the eye compares them.
    top = max(height for pair in shares.values() for heights in pair for height in heights) or 1
    return {
        f"confidence-{side}": _entropies(side, edges, pair, top * 1.08, of) for side, pair in shares.items()
    }


def _entropies(
    side: str, edges: Sequence[float], pair: Sequence[Sequence[float]], top: float, of: str
) -> str:
    label = f"Entropy of the predictions of server and clients on {side} images"
    canvas = Canvas(WIDTH, HEIGHT, f"{label}: {of}" if of else label)
    x, y = Scale(edges[0], edges[-1], LEFT, WIDTH - 16), Scale(0, top, BOTTOM, TOP + 14)
    axes(canvas, x, y, "entropy of the prediction (nats)", "", None, lambda value: f"{value:.0%}")
    canvas.text(4, 16, f"share of {side} images", font_weight=600)
    models = (("server", SERVER, "6 3"), ("clients", CLIENTS, ""))
    for row, ((owner, color, dash), heights) in enumerate(zip(models, pair, strict=True)):
        stroke = {"stroke": color, "stroke_width": 2, "stroke_dasharray": dash}
        canvas.polyline(steps(edges, heights, x, y), fill=color, fill_opacity=0.14, **stroke)
        canvas.line(x.end - 78, 12 + 15 * row, x.end - 54, 12 + 15 * row, **stroke)
        canvas.text(x.end - 48, 16 + 15 * row, owner, fill=color, font_weight=600)
    return canvas.render()


def normal(heights: Sequence[float]) -> list[float]:
    """Heights that add up to one."""
    total = sum(heights)
    return [height / total if total else 0.0 for height in heights]


def steps(edges: Sequence[float], heights: Sequence[float], x: Scale, y: Scale) -> list[tuple[float, float]]:
    """The outline of a histogram."""
    points = [(x(edges[0]), y(0))]
    for left, right, height in zip(edges, edges[1:], heights, strict=False):
        points += [(x(left), y(height)), (x(right), y(height))]
    return [*points, (x(edges[-1]), y(0))]


def client_ssim(run: Run) -> str | None:
    """Fig. 4: how alike a client's reconstruction is to the other clients', for owners and for the rest."""
    found = []
    for attack in run.audited:
        pair = table(attack.numbers, "client_ssim")
        owner, others = (
            [value for value in pair.get(side) or [] if value is not None] for side in ("owner", "others")
        )
        if owner and others:
            found.append((attack.name, owner, others))
    if not found:
        return None
    height = 40 + 74 * len(found)
    canvas = Canvas(WIDTH, height + 40, "Mean SSIM to the other clients' reconstructions, owners and others")
    values = [value for _, owner, others in found for value in (*owner, *others)]
    x = Scale(min(0.0, *values), max(1.0, *values), 120, WIDTH - 16)
    for tick in x.ticks():
        canvas.line(x(tick), 18, x(tick), height, stroke_opacity=0.18)
        canvas.text(x(tick), height + 16, f"{tick:.1f}", text_anchor="middle", font_size=11)
    canvas.text(
        x.end, height + 34, "mean SSIM to the other clients' reconstructions", text_anchor="end", font_size=11
    )
    for index, (name, owner, others) in enumerate(found):
        base = 28 + 74 * index
        canvas.text(4, base + 6, short(name), font_weight=600)
        _swarm(canvas, x, base + 24, "owner", owner, CLIENTS, "diamond")
        _swarm(canvas, x, base + 54, "others", others, MID_GRAY, "circle")
    return canvas.render()


def _swarm(
    canvas: Canvas, x: Scale, y: float, name: str, values: Sequence[float], color: str, shape: str
) -> None:
    canvas.text(110, y + 4, f"{name} ({len(values)})", text_anchor="end", font_size=11)
    ranked = sorted(values)
    # Every n-th value of the ranking has the shape of the whole, in fewer bytes.
    for index, value in enumerate(ranked[:: -(-len(ranked) // SWARM)]):
        # Golden-ratio steps scatter the points evenly, and the same way every time.
        jitter = ((index * 0.618034) % 1 - 0.5) * 18
        canvas.mark(shape, x(value), y + jitter, color, 2.6)
    middle = statistics.median(values)
    canvas.line(x(middle), y - 13, x(middle), y + 13, stroke_width=2.5)
