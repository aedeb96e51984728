"""The figure of the paper's measure: every attack with its nulls, and the rivals."""

from __future__ import annotations

from logitleak.report.parts.games import nulls, share
from logitleak.report.parts.load import Run
from logitleak.report.parts.series import WIDTH, style, whisker
from logitleak.report.parts.svg import MID_GRAY, Canvas, Scale, short


def accuracy(run: Run) -> str | None:
    """Accuracy of every attack and rival as points with their intervals; below an attack its nulls, in gray."""
    judged = [attack for attack in run.attacks if share(attack.numbers, "accuracy")]
    if not judged:
        return None
    lines = len(judged) + sum(len(nulls(attack)) for attack in judged)
    height = 56 + 26 * lines
    canvas = Canvas(
        WIDTH,
        height + 44,
        "The paper’s measure: accuracy of each attack, its nulls and the rivals, with 95% intervals",
    )
    x = Scale(0, 1, 112, WIDTH - 62)
    for tick in x.ticks(4):
        canvas.line(x(tick), 24, x(tick), height, stroke_opacity=0.18)
        canvas.text(x(tick), height + 16, f"{tick:.0%}", text_anchor="middle", font_size=11)
    _chance_line(canvas, run, x, 24, height)
    y, above = 44, ""
    for attack in judged:
        if attack.kind == "rival" and above not in ("", "rival"):
            canvas.line(8, y - 13, WIDTH - 8, y - 13, stroke_opacity=0.35, stroke_dasharray="2 3")
        color, _, shape = style(run, attack.name)
        found = [(short(attack.name), share(attack.numbers, "accuracy"), color, shape)]
        found += [(null.kind, null.share, MID_GRAY, "cross") for null in nulls(attack)]
        for name, part, ink, mark in found:
            plain = {} if part is found[0][1] else {"font_size": 11, "fill_opacity": 0.75}
            canvas.text(100, y + 4, short(name), text_anchor="end", **plain)
            whisker(canvas, x, y, part["low"], part["high"], ink)
            canvas.mark(mark, x(part["value"]), y, ink, 4.5)
            canvas.text(WIDTH - 54, y + 4, f"{part['successes']:g}/{part['trials']:g}")
            y += 26
        above = attack.kind
    canvas.text(
        x.end,
        height + 34,
        "the paper’s measure: targets rebuilt, 95% Wilson interval",
        text_anchor="end",
        font_size=11,
    )
    return canvas.render()


def _chance_line(canvas: Canvas, run: Run, x: Scale, top: float, bottom: float) -> None:
    chance = run.data.get("chance")
    if isinstance(chance, (int, float)):
        canvas.line(x(chance), top, x(chance), bottom, stroke_dasharray="4 3")
        canvas.text(x(chance) + 4, top - 6, f"chance {chance:.1%}", font_size=11)
