"""Build the report of a sweep: read its folder, draw, fill the template, write three things."""

from __future__ import annotations

from pathlib import Path

from logitleak.report.parts.render import publish, render
from logitleak.report.sweep.load import load_sweep


def build_sweep(sweep: Path) -> Path:
    """Write `SWEEP/report.html`, `SWEEP/figures/*.svg` and `SWEEP/grids/*.png`; return the report's path.

    Raises ReportError, with a one-line message, when sweep.json or table.jsonl are missing or unreadable.
    """
    folder = Path(sweep)
    content = load_sweep(folder)
    # The heavy libraries are imported when a report is built, not when the package is.
    from logitleak.report.sweep import page as sweep_page

    page, figures, grids = sweep_page.context(content)
    html = render("sweep.html.j2", page, ("report.css", "sweep.css"), ("report.js", "sort.js"))
    return publish(folder, html, figures, grids)
