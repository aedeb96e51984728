"""Figures of training: losses of the federation, losses of the attacks, utility over the rounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from logitleak.report.parts.load import Run, rows, table
from logitleak.report.parts.svg import CLIENTS, PALETTE, SERVER, Canvas, Scale, axes, short

WIDTH, HEIGHT = 460, 250
LEFT, TOP, BOTTOM = 48, 40, 204

POINTS = 120

Series = dict[Any, list[tuple[float, float]]]
Draw = Callable[[Canvas, Series, Scale, Scale], None]


def federation_losses(run: Run) -> dict[str, str]:
    """A panel for each phase of training: the server's line over the clients' lines."""
    phases: dict[str, list[dict[str, Any]]] = {}
    for row in rows(table(run.metrics, "federation"), "losses"):
        if row.get("loss") is not None and row.get("round") is not None:
            phases.setdefault(str(row.get("phase")), []).append(row)
    figures = {}
    for index, (phase, entries) in enumerate(phases.items(), start=1):
        # A phase that happens once, as before the first exchange, is shown by epoch if it can be.
        once = len({row["round"] for row in entries}) == 1 and all("epoch" in row for row in entries)
        axis = "epoch" if once else "round"
        # Of several epochs in one round the last one stands: later rows replace earlier ones.
        series: dict[Any, dict[float, float]] = {}
        for row in entries:
            series.setdefault(row.get("client"), {})[row[axis]] = row["loss"]
        lines = {client: list(points.items()) for client, points in series.items()}
        label = f"Training losses of the federation: {phase}"
        figures[f"federation-losses-{index}"] = _panel(phase, lines, label, axis, _draw_models)
    return figures


def utility_rounds(run: Run) -> str | None:
    """Accuracy of the models on held-out images over the rounds."""
    series: Series = {}
    for row in rows(table(run.metrics, "utility"), "rounds"):
        if row.get("server") is not None:
            series.setdefault(None, []).append((row["round"], row["server"]))
        for client, value in enumerate(row.get("clients") or []):
            if value is not None:
                series.setdefault(client, []).append((row["round"], value))
    if not series:
        return None
    return _panel(
        "accuracy on held-out images", series, "Utility over the rounds", "round", _draw_models, True
    )


def attack_losses(run: Run) -> dict[str, str]:
    """A panel for each trained attack: one line for each round and client, later rounds stronger."""
    panels: dict[str, Series] = {}
    for attack in run.audited:
        for row in rows(attack.numbers, "losses"):
            point = (row.get("step"), row.get("loss"))
            if None not in point:
                series = panels.setdefault(attack.name, {})
                series.setdefault((row.get("round"), row.get("client")), []).append(point)  # type: ignore[arg-type]
    return {
        f"attack-losses-{index}": _panel(name, series, f"Training losses of {name}", "step", _draw_attack)
        for index, (name, series) in enumerate(panels.items(), start=1)
    }


def _panel(title: str, series: Series, label: str, x_title: str, draw: Draw, share: bool = False) -> str:
    canvas = Canvas(WIDTH, HEIGHT, label)
    points = [point for line in series.values() for point in line]
    x, y = _scales(points, share)
    steps = sorted({point[0] for point in points})
    ticks = steps if len(steps) <= 9 else x.ticks(6)
    axes(canvas, x, y, x_title, "", ticks, (lambda value: f"{value:.0%}") if share else _plain)
    kind = "" if share else ("loss, log scale: " if y.log else "loss: ")
    canvas.text(4, 16, kind + short(title, 40), font_weight=600)
    draw(canvas, series, x, y)
    return canvas.render()


def _scales(points: list[tuple[float, float]], share: bool) -> tuple[Scale, Scale]:
    places, values = [point[0] for point in points], [point[1] for point in points]
    low, high = min(places), max(places)
    margin = 0.5 if low == high else 0.03 * (high - low)
    x = Scale(low - margin, high + margin, LEFT, WIDTH - 68)
    floor, ceiling = min(values), max(values)
    # A loss that falls by more than a factor of twenty is a flat line on a linear axis.
    log = not share and floor > 0 and ceiling / floor > 20
    bottom = floor * 0.8 if log else min(0.0, floor)
    return x, Scale(bottom, 1 if share else ceiling * 1.06, BOTTOM, TOP, log)


def _plain(value: float) -> str:
    return f"{value:.3g}"


def _draw_models(canvas: Canvas, series: Series, x: Scale, y: Scale) -> None:
    clients = [line for client, line in series.items() if client is not None]
    labels: list[tuple[str, float, str]] = []
    for line in clients:
        _line(canvas, line, x, y, CLIENTS, 1.5, 0.75)
    if clients:
        ends = sorted(y(line[-1][1]) for line in clients)
        labels.append(("clients" if len(clients) > 1 else "client", ends[len(ends) // 2], CLIENTS))
    if None in series:
        _line(canvas, series[None], x, y, SERVER, 2.5, 1, "6 3")
        labels.append(("server", y(series[None][-1][1]), SERVER))
    if len(labels) == 2 and abs(labels[0][1] - labels[1][1]) < 14:
        # Of two labels that would collide, the upper one moves up and the lower one down.
        upper = min((0, 1), key=lambda index: labels[index][1])
        labels = [
            (name, place + (-8 if index == upper else 8), color)
            for index, (name, place, color) in enumerate(labels)
        ]
    for name, place, color in labels:
        canvas.text(x.end + 8, place + 4, name, fill=color, font_weight=600)


def _draw_attack(canvas: Canvas, series: Series, x: Scale, y: Scale) -> None:
    rounds = sorted({round_ for round_, _ in series if round_ is not None})
    for (round_, _), line in series.items():
        age = rounds.index(round_) / (len(rounds) - 1) if round_ in rounds and len(rounds) > 1 else 1
        _line(canvas, line, x, y, PALETTE[0], 1.2 + age, 0.3 + 0.7 * age)
    clients = len({client for _, client in series})
    shown = f"{len(rounds)} round{'s' * (len(rounds) != 1)} × {clients} client{'s' * (clients != 1)}"
    canvas.text(x.end + 60, y.end - 24, shown, text_anchor="end", font_size=11)


def _line(
    canvas: Canvas,
    line: list[tuple[float, float]],
    x: Scale,
    y: Scale,
    color: str,
    width: float,
    opacity: float,
    dash: str = "",
) -> None:
    ordered = sorted(line)
    # More points than this are narrower than the line is wide.
    stride = -(-len(ordered) // POINTS)
    places = [(x(step), y(value)) for step, value in [*ordered[:-1:stride], ordered[-1]]]
    if len(places) > 1:
        canvas.polyline(
            places, stroke=color, stroke_width=width, stroke_opacity=opacity, stroke_dasharray=dash
        )
    if len(places) <= 8:
        for place in places:
            canvas.mark("circle", *place, color, 2.5)
