"""Build the report of a run: read it, draw, fill the template, write three things."""

from __future__ import annotations

from pathlib import Path

from logitleak.report.load import ReportError, load
from logitleak.report.render import render, replace, write


def build(run: Path) -> Path:
    """Write `RUN/report.html`, `RUN/figures/*.svg` and `RUN/grids/*.png`; return the report's path.

    Raises ReportError, with a one-line message, when metrics.json is missing or unreadable.
    """
    from logitleak.report import figures, gallery, page

    folder = Path(run)
    content = load(folder)
    drawn = figures.draw_all(content)
    grids = gallery.grids(content)
    html = render("report.html.j2", page.context(content, drawn, list(grids)))
    try:
        replace(folder / "figures", {f"{name}.svg": svg.encode() for name, svg in drawn.items()})
        replace(folder / "grids", grids)
        write(folder / "report.html", html.encode())
    except OSError as problem:
        raise ReportError(f"the report cannot be written to {folder}: {problem.strerror}") from None
    return folder / "report.html"
