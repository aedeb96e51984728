"""Figures of a game: in against out, the leak with its interval, and the leak over the rounds."""

from __future__ import annotations

from logitleak.report.parts.games import Comparison, Gap, central, game, leak
from logitleak.report.parts.load import Attack, Run
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
    whisker,
)
from logitleak.report.parts.svg import Canvas, Scale, axes, short

Point = tuple[int, Gap]


def compared(run: Run) -> list[tuple[Attack, Comparison]]:
    """Every attack that the game compares, the primary one first."""
    played = game(run)
    if played is None:
        return []
    found = [
        (attack, main)
        for attack in run.audited
        if (said := leak(attack)) and (main := central(played, said)) is not None
    ]
    return sorted(found, key=lambda pair: pair[0].name != played.primary)


def in_out(run: Run) -> str | None:
    """Success with and without the private images: from hollow (out) to full (in), each with its interval."""
    found = compared(run)
    if not found:
        return None
    canvas, height = _frame("Targets rebuilt in and out by each attack, with 95% intervals", len(found))
    x = Scale(0, 1, 112, WIDTH - 62)
    _grid(canvas, x, height, [f"{tick:.0%}" for tick in x.ticks(4)], x.ticks(4))
    canvas.mark("circle", 116, 12, "currentColor", 4)
    canvas.text(125, 16, "in: images used", font_size=11)
    _hollow(canvas, 236, 12, "currentColor")
    canvas.text(245, 16, "out: images withheld", font_size=11)
    for row, (attack, main) in enumerate(found):
        y, color = 52 + 44 * row, style(run, attack.name)[0]
        canvas.text(100, y + 4, short(attack.name), text_anchor="end")
        for side, place, shift in ((main.inside, "in", -8), (main.outside, "out", 8)):
            whisker(canvas, x, y + shift, side["low"], side["high"], color, 2 if place == "in" else 1.2)
            canvas.text(WIDTH - 54, y + shift + 4, f"{side['successes']:g}/{side['trials']:g}", font_size=11)
        canvas.line(
            x(main.outside["value"]), y + 8, x(main.inside["value"]), y - 8, stroke=color, stroke_opacity=0.5
        )
        canvas.mark("circle", x(main.inside["value"]), y - 8, color, 4.5)
        _hollow(canvas, x(main.outside["value"]), y + 8, color)
    canvas.text(x.end, height + 34, "targets rebuilt, 95% interval", text_anchor="end", font_size=11)
    return canvas.render()


def interval(run: Run) -> str | None:
    """The leak of every attack with its interval, and beside it how often the image in is the better likeness."""
    found = compared(run)
    if not found:
        return None
    canvas, height = _frame("Leak of each attack in points with its 95% interval, and wins", len(found))
    gaps = [main.leak for _, main in found if main.leak]
    x = Scale(min(-0.25, *(_low(gap) for gap in gaps)), 1, 112, WIDTH - 62)
    _grid(canvas, x, height, [_signed(tick) for tick in x.ticks(5)], x.ticks(5))
    canvas.line(x(0), 26, x(0), height, stroke_opacity=0.8)
    label = "wins" if any(main.wins for _, main in found) else "AUC"
    canvas.text(WIDTH - 54, 16, label, font_size=11)
    for row, (attack, main) in enumerate(found):
        assert main.leak is not None
        y, (color, _, shape) = 52 + 44 * row, style(run, attack.name)
        canvas.text(100, y + 4, short(attack.name), text_anchor="end")
        if main.leak.low is not None and main.leak.high is not None:
            whisker(canvas, x, y, main.leak.low, main.leak.high, color)
        canvas.mark(shape, x(main.leak.value), y, color, 4.5)
        canvas.text(x(main.leak.value), y - 9, _signed(main.leak.value), text_anchor="middle", font_size=11)
        canvas.text(WIDTH - 54, y + 4, _beside(main), font_size=11)
    canvas.text(
        x.end, height + 34, "leak in points (in − out), 95% interval", text_anchor="end", font_size=11
    )
    return canvas.render()


def rounds_leak(run: Run) -> str | None:
    """The leak after each attacked round: of the chosen image with its interval, of the owner's as a thin line."""
    series: dict[str, tuple[list[Point], list[Point]]] = {}
    for attack, _ in compared(run):
        said = leak(attack)
        entries = said.rounds if said else []
        chosen = [(round_, one.leak) for round_, one, _ in entries if one and one.leak]
        owner = [(round_, one.leak) for round_, _, one in entries if one and one.leak]
        if chosen:
            series[attack.name] = chosen, owner
    if not series:
        return None
    points = [point for pair in series.values() for line in pair for point in line]
    rounds = sorted({round_ for round_, _ in points})
    canvas = Canvas(WIDTH, HEIGHT, "Leak of each attack over the rounds, with 95% intervals")
    span = 0.5 if len(rounds) == 1 else 0.06 * (rounds[-1] - rounds[0])
    x = Scale(rounds[0] - span, rounds[-1] + span, LEFT, WIDTH - 92)
    y = Scale(min(-0.2, *(_low(gap) for _, gap in points)), 1, BOTTOM, TOP)
    ticks = rounds if len(rounds) <= 10 else [tick for tick in x.ticks(8) if tick == int(tick)]
    axes(canvas, x, y, "round", "leak in points (in − out)", ticks, _signed)
    canvas.line(x.start, y(0), x.end, y(0), stroke_opacity=0.8)
    ends: list[tuple[str, float, str]] = []
    for index, (name, (chosen, owner)) in enumerate(series.items()):
        look = style(run, name)
        shift = beside(index, len(series))
        for round_, gap in chosen:
            if gap.low is not None and gap.high is not None:
                upright(canvas, x(round_) + shift, y(gap.low), y(gap.high), look[0])
        thin = [(x(round_) + shift, y(gap.value)) for round_, gap in owner]
        canvas.polyline(thin, stroke=look[0], stroke_width=1, stroke_opacity=0.6)
        places = [(x(round_) + shift, y(gap.value)) for round_, gap in chosen]
        ends.append((name, *curve(canvas, places, look)))
    end_labels(canvas, ends, x.end + 8)
    return canvas.render()


def _frame(label: str, lines: int) -> tuple[Canvas, float]:
    height = 36 + 44 * lines
    return Canvas(WIDTH, height + 44, label), height


def _grid(canvas: Canvas, x: Scale, height: float, words: list[str], ticks: list[float]) -> None:
    for word, tick in zip(words, ticks, strict=True):
        canvas.line(x(tick), 26, x(tick), height, stroke_opacity=0.18)
        canvas.text(x(tick), height + 16, word, text_anchor="middle", font_size=11)


def _hollow(canvas: Canvas, x: float, y: float, color: str) -> None:
    canvas.add("circle", cx=x, cy=y, r=3.8, fill="none", stroke=color, stroke_width=1.8)


def _beside(main: Comparison) -> str:
    if main.wins:
        return f"{main.wins.successes}/{main.wins.trials}"
    return f"{main.auc.value:.2f}" if main.auc else ""


def _low(gap: Gap) -> float:
    return gap.value if gap.low is None else gap.low


def _signed(value: float) -> str:
    """Points with their sign, and a true minus."""
    text = f"{value * 100:+.0f}"
    return "0" if text in ("+0", "-0") else text.replace("-", "−")
