"""A small SVG canvas: enough for the charts of the report, and the same bytes every time.

Text and axes use currentColor, so a figure follows the theme of the page it is inlined in; opened on its own
it falls back to a mid gray that is readable on black and on white.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from xml.sax.saxutils import escape, quoteattr

MID_GRAY = "#777b82"
# Mid-tone and apart for every common color blindness: each has contrast 3:1 or more on white and on black.
PALETTE = ("#3a7fc4", "#cf6a14", "#17917a", "#cf4a7c", "#a35db8", "#a58008")
# The two parties have colors of their own: the first attacks of the palette must not look like them.
SERVER, CLIENTS = "#a58008", "#8d62c9"
DASHES = ("", "7 3", "2 3", "9 3 2 3", "5 2", "1 2")
SHAPES = ("circle", "square", "triangle", "diamond", "down", "cross")


def number(value: float) -> str:
    """A short decimal: two places, no trailing zeros, no minus zero."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def short(name: str, limit: int = 14) -> str:
    """A name that fits beside a line."""
    return name if len(name) <= limit else name[: limit - 1] + "…"


class Canvas:
    """Collects SVG elements and renders them as one accessible image."""

    def __init__(self, width: float, height: float, label: str) -> None:
        self.width, self.height, self.label = width, height, label
        self._parts: list[str] = []

    def add(self, tag: str, text: str | None = None, /, **attributes: object) -> None:
        """Append an element; underscores in attribute names stand for hyphens."""
        pairs = "".join(
            f" {name.rstrip('_').replace('_', '-')}="
            + quoteattr(number(value) if isinstance(value, (int, float)) else str(value))
            for name, value in attributes.items()
            if value != ""
        )
        self._parts.append(f"<{tag}{pairs}/>" if text is None else f"<{tag}{pairs}>{escape(text)}</{tag}>")

    def line(self, x1: float, y1: float, x2: float, y2: float, **attributes: object) -> None:
        """A straight line in the text color unless told otherwise."""
        self.add("line", x1=x1, y1=y1, x2=x2, y2=y2, **{"stroke": "currentColor", **attributes})

    def polyline(self, points: Iterable[tuple[float, float]], **attributes: object) -> None:
        """An open line through the points."""
        path = " ".join(f"{number(x)},{number(y)}" for x, y in points)
        self.add("polyline", points=path, **{"fill": "none", "stroke_linejoin": "round", **attributes})

    def text(self, x: float, y: float, text: str, **attributes: object) -> None:
        """A line of text in the text color unless told otherwise."""
        self.add("text", text, x=x, y=y, **{"fill": "currentColor", **attributes})

    def mark(self, shape: str, x: float, y: float, color: str, size: float = 4) -> None:
        """A data point; the shape tells series apart where color cannot."""
        if shape == "circle":
            self.add("circle", cx=x, cy=y, r=size, fill=color)
        elif shape == "square":
            self.add(
                "rect", x=x - size * 0.9, y=y - size * 0.9, width=size * 1.8, height=size * 1.8, fill=color
            )
        elif shape == "cross":
            self.line(x - size, y - size, x + size, y + size, stroke=color, stroke_width=2)
            self.line(x - size, y + size, x + size, y - size, stroke=color, stroke_width=2)
        else:
            tips = {"triangle": (0, -1.2, 1.1, 0.8, -1.1, 0.8), "down": (0, 1.2, 1.1, -0.8, -1.1, -0.8)}
            corners = tips.get(shape, (0, -1.3, 1.3, 0, 0, 1.3, -1.3, 0))
            pairs = zip(corners[::2], corners[1::2], strict=True)
            self.add(
                "polygon",
                points=" ".join(f"{number(x + dx * size)},{number(y + dy * size)}" for dx, dy in pairs),
                fill=color,
            )

    def render(self) -> str:
        """The whole image as a string."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg"'
            f' viewBox="0 0 {number(self.width)} {number(self.height)}"'
            f' width="{number(self.width)}" height="{number(self.height)}" role="img"'
            f' aria-label={quoteattr(self.label)} color="{MID_GRAY}"'
            ' font-family="system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif"'
            ' font-size="12">' + "".join(self._parts) + "</svg>\n"
        )


class Scale:
    """Maps data to pixels, linearly or by logarithm."""

    def __init__(self, low: float, high: float, start: float, end: float, log: bool = False) -> None:
        self.low, self.high, self.start, self.end, self.log = low, high, start, end, log
        if high <= low:
            self.high = low + (abs(low) or 1.0)

    def __call__(self, value: float) -> float:
        map_: Callable[[float], float] = math.log10 if self.log else float
        share = (map_(value) - map_(self.low)) / (map_(self.high) - map_(self.low))
        return self.start + share * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        """Round values inside the scale, about `count` of them."""
        if self.log:
            exponents = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            inside = self._inside([10.0**exponent for exponent in exponents])
            if len(inside) < 3:
                inside = self._inside([10.0**exponent * step for exponent in exponents for step in (1, 2, 5)])
            return inside
        raw = (self.high - self.low) / max(count, 1)
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [index * step for index in range(first, last + 1)]

    def _inside(self, ticks: list[float]) -> list[float]:
        return [tick for tick in ticks if self.low * 0.999 <= tick <= self.high * 1.001]


def axes(
    canvas: Canvas,
    x: Scale,
    y: Scale,
    x_title: str,
    y_title: str,
    x_ticks: Sequence[float] | None = None,
    y_format: Callable[[float], str] = lambda value: f"{value:g}",
) -> None:
    """Draw the grid, tick labels and axis titles; the y title lies flat above the axis."""
    for tick in y.ticks():
        canvas.line(x.start, y(tick), x.end, y(tick), stroke_opacity=0.18)
        canvas.text(x.start - 7, y(tick) + 4, y_format(tick), text_anchor="end", font_size=11)
    canvas.line(x.start, y.start, x.end, y.start, stroke_opacity=0.7)
    for tick in x_ticks if x_ticks is not None else x.ticks():
        canvas.line(x(tick), y.start, x(tick), y.start + 4, stroke_opacity=0.7)
        canvas.text(x(tick), y.start + 17, f"{tick:g}", text_anchor="middle", font_size=11)
    canvas.text(x.end, y.start + 33, x_title, text_anchor="end", font_size=11)
    canvas.text(4, y.end - 12, y_title, font_size=11)


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move label positions apart so that neighbors are at least `gap` from each other."""
    order = sorted(range(len(places)), key=lambda index: places[index])
    result = list(places)
    floor = low
    for index in order:
        result[index] = max(result[index], floor)
        floor = result[index] + gap
    ceiling = high
    for index in reversed(order):
        result[index] = min(result[index], ceiling)
        ceiling = result[index] - gap
    return result
