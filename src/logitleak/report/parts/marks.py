"""Small drawings that stand inside the text: the bar of a share and the field of dots of the verdict."""

from __future__ import annotations

from typing import Any

from logitleak.report.parts.svg import Canvas, Scale


def share_bar(share: dict[str, Any], chance: float | None, color: str) -> str:
    """A bar from zero to the share, its interval as a whisker, chance as a dashed line."""
    label = f"{share['value']:.0%}, 95% interval {share['low']:.0%} to {share['high']:.0%}"
    canvas = Canvas(132, 20, label)
    x = Scale(0, 1, 1, 131)
    canvas.add("rect", x=1, y=5, width=130, height=10, fill="currentColor", fill_opacity=0.09)
    canvas.add("rect", x=1, y=5, width=x(share["value"]) - 1, height=10, fill=color, fill_opacity=0.6)
    low, high = x(share["low"]), x(share["high"])
    canvas.line(low, 10, high, 10, stroke_width=1.5)
    for end in (low, high):
        canvas.line(end, 6, end, 14, stroke_width=1.5)
    if chance is not None:
        canvas.line(x(chance), 1, x(chance), 19, stroke_dasharray="2 2")
    return canvas.render()


def dots(successes: list[bool], color: str) -> str:
    """One dot for each target in label order: full where it was rebuilt, hollow where not."""
    columns = next((width for width in (5, 10) if len(successes) <= width * width), 20)
    step = min(30.0, 200 / columns)
    radius = step * 0.36
    lines = -(-len(successes) // columns)
    label = f"{sum(successes)} of {len(successes)} targets rebuilt"
    canvas = Canvas(min(columns, len(successes)) * step, lines * step, label)
    for index, success in enumerate(successes):
        x, y = (index % columns + 0.5) * step, (index // columns + 0.5) * step
        if success:
            canvas.add("circle", cx=x, cy=y, r=radius, fill=color)
        else:
            canvas.add(
                "circle",
                cx=x,
                cy=y,
                r=radius - 0.75,
                fill="none",
                stroke_width=1.5,
                stroke="currentColor",
                stroke_opacity=0.55,
            )
    return canvas.render()
