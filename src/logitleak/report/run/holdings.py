"""Who holds what: private images of every class at every client, as one grid of shaded squares."""

from __future__ import annotations

from typing import Any

from logitleak.report.parts.load import Run
from logitleak.report.parts.series import WIDTH
from logitleak.report.parts.svg import CLIENTS, Canvas, short

MOST = 60
"""More classes or clients than these are not drawn: squares would be too small to see."""


def counts(run: Run) -> list[list[int]]:
    """Images by client and class; empty where the run does not say, or it is not to be drawn."""
    found = run.data.get("holdings")
    if not isinstance(found, list) or not found or len(found) > MOST:
        return []
    rows = [row for row in found if isinstance(row, list) and all(type(n) is int and n >= 0 for n in row)]
    wide = {len(row) for row in rows}
    return rows if len(rows) == len(found) and len(wide) == 1 and 0 < max(wide) <= MOST else []


def holdings(run: Run) -> str | None:
    """A row for each client, a column for each class; the darker the square the more images it has."""
    found = counts(run)
    if not found:
        return None
    names = _names(run, len(found[0]))
    side = min(34.0, (WIDTH - 130) / len(found[0]))
    height = 40 + side * len(found)
    canvas = Canvas(WIDTH, height + 12, "Private images of each class at each client")
    most = max(max(row) for row in found) or 1
    room = max(1, int(side / 6.5))
    for column, name in enumerate(names):
        canvas.text(74 + side * (column + 0.5), 28, short(name, room), text_anchor="middle", font_size=10)
    for client, row in enumerate(found):
        y = 36 + side * client
        canvas.text(66, y + side / 2 + 4, f"client {client}", text_anchor="end", font_size=11)
        canvas.text(82 + side * len(row), y + side / 2 + 4, f"{sum(row):,}", font_size=11)
        for column, count in enumerate(row):
            x = 74 + side * column
            canvas.add(
                "rect", x=x + 1, y=y + 1, width=side - 2, height=side - 2, fill=CLIENTS,
                fill_opacity=round(0.04 + 0.9 * (count / most) ** 0.5, 3),
            )  # fmt: skip
            if side >= 24:
                dark = count / most > 0.4
                canvas.text(
                    x + side / 2, y + side / 2 + 4, str(count), text_anchor="middle", font_size=10,
                    **({"fill": "white"} if dark else {}),
                )  # fmt: skip
    return canvas.render()


def _names(run: Run, classes: int) -> list[str]:
    """What the classes are called, as far as an attack was judged; else their numbers."""
    for attack in run.attacks:
        told: list[dict[str, Any]] = attack.per_target
        if len(told) == classes:
            return [str(row.get("name") or row.get("label")) for row in told]
    return [str(label) for label in run.labels] if len(run.labels) == classes else [""] * classes
