"""The frontier: what is left to be told from uploads against what clients have left, a number for every setting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from logitleak.report.parts.svg import PALETTE, Canvas, Scale, axes

WIDTH, HEIGHT, LEFT = 680, 360, 56
RADIUS = 9.0


@dataclass(frozen=True)
class Point:
    """A setting: its number in the table, its defense's place, how far identities are from a coin, accuracy, whether
    it passes both bars."""

    number: int
    kind: int
    distance: float
    accuracy: float
    passes: bool


def frontier(points: Sequence[Point], hidden: float, floor: float | None, alone: float | None) -> str:
    """The figure as SVG.

    Args:
        points: the settings.
        hidden: how far an area may be from one half.
        floor: the accuracy that clients must keep; None where nobody can say.
        alone: accuracy of clients alone; None where it is not known.
    """
    canvas = Canvas(WIDTH, HEIGHT, "accuracy of clients against how well identities can be told, by setting")
    heights = [point.accuracy for point in points] + [line for line in (floor, alone) if line is not None]
    low, high = min(heights, default=0.0), max(heights, default=1.0)
    margin = max(0.02, (high - low) * 0.12)
    x = Scale(0.5, 1.02, LEFT, WIDTH - 24)
    y = Scale(max(0.0, low - margin), min(1.0, high + margin), HEIGHT - 50, 34)
    canvas.add(
        "rect", x=x(0.5), y=y.end, width=x(0.5 + hidden) - x(0.5), height=y.start - y.end,
        fill="currentColor", fill_opacity=0.07,
    )  # fmt: skip
    axes(
        canvas, x, y, "who is at which client: area under the curve, its distance from one half added to one half",
        "accuracy of clients", [0.5, 0.6, 0.7, 0.8, 0.9, 1.0], lambda value: f"{value:.0%}",
    )  # fmt: skip
    canvas.text(x(0.5) + 6, y.end + 12, "hidden", font_size=11, fill_opacity=0.8)
    for level, said in ((floor, "half of what federating buys"), (alone, "clients alone")):
        if level is not None:
            canvas.line(x.start, y(level), x.end, y(level), stroke_dasharray="5 4", stroke_opacity=0.6)
            canvas.text(x.end, y(level) - 4, said, text_anchor="end", font_size=11, fill_opacity=0.8)
    taken: list[tuple[float, float]] = []
    for point in points:
        at = _free(x(0.5 + point.distance), y(point.accuracy), taken)
        taken.append(at)
        color = PALETTE[point.kind % len(PALETTE)]
        look = (
            {"fill_opacity": 0.9, "stroke_width": 2}
            if point.passes
            else {"fill_opacity": 0.28, "stroke_width": 1}
        )
        canvas.add("circle", cx=at[0], cy=at[1], r=RADIUS, fill=color, stroke=color, **look)
        ink = {"fill": "#ffffff"} if point.passes else {}
        canvas.text(at[0], at[1] + 4, str(point.number), text_anchor="middle", font_size=11, **ink)
    return canvas.render()


def _free(x: float, y: float, taken: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The nearest place to the left, then below, where no other dot is: many settings hide nothing alike."""
    for step in range(200):
        at = (x - (step % 12) * RADIUS * 1.1, y + (step // 12) * RADIUS * 1.1)
        if all((at[0] - other[0]) ** 2 + (at[1] - other[1]) ** 2 > (1.9 * RADIUS) ** 2 for other in taken):
            return at
    return x, y
