"""Build the report of a run: read it, draw, fill the template, write three things."""

from __future__ import annotations

from pathlib import Path

from logitleak.report.parts.load import load
from logitleak.report.parts.render import publish, render
from logitleak.report.parts.words import Verdict
from logitleak.report.run.verdict import judge


def build(run: Path) -> Path:
    """Write `RUN/report.html`, `RUN/figures/*.svg` and `RUN/grids/*.png`; return the report's path.

    Raises ReportError, with a one-line message, when metrics.json is missing or unreadable.
    """
    from logitleak.report.run import figures, grids, page

    folder = Path(run)
    content = load(folder)
    drawn = figures.draw_all(content)
    sheets = grids.grids(content)
    html = render("report.html.j2", page.context(content, drawn, list(sheets)))
    return publish(folder, html, drawn, sheets)


def verdict(run: Path) -> Verdict:
    """What the report of a run says first.

    Raises ReportError, with a one-line message, when metrics.json is missing or unreadable.
    """
    return judge(load(Path(run)))
