"""Build the page of ``logitleak defend`` from ``defend.json``."""

from __future__ import annotations

from pathlib import Path

from logitleak.formats import DefendFile
from logitleak.report.parts.load import ReportError, read_required
from logitleak.report.parts.render import render, write


def build_defend(folder: Path) -> Path:
    """Write ``FOLDER/defend.html`` and the frontier beside it, ``FOLDER/frontier.svg``; return the page's path.

    Raises:
        ReportError: ``defend.json`` is missing or unreadable, or the page cannot be written.
    """
    from logitleak.report.defend import page

    context, figure = page.context(
        read_required(Path(folder) / "defend.json", "try `logitleak defend` first", DefendFile)
    )
    html = render("defend.html.j2", context)
    target = Path(folder) / "defend.html"
    try:
        write(Path(folder) / "frontier.svg", figure.encode())
        write(target, html.encode())
    except OSError as problem:
        raise ReportError(f"the report cannot be written to {target}: {problem.strerror}") from None
    return target
