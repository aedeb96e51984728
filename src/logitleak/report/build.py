"""Build the report: read the run, draw, fill the template, write three things.

The heavy libraries are imported when a report is built, not when the package is imported.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from logitleak.report.load import ReportError, load

TEMPLATES = resources.files("logitleak.report") / "templates"


def build(run: Path) -> Path:
    """Write `RUN/report.html`, `RUN/figures/*.svg` and `RUN/grids/*.png`; return the report's path.

    Raises ReportError, with a one-line message, when metrics.json is missing or unreadable.
    """
    from logitleak.report import figures, gallery, page

    folder = Path(run)
    content = load(folder)
    drawn = figures.draw_all(content)
    grids = gallery.grids(content)
    html = _render(page.context(content, drawn, list(grids)))
    try:
        _replace(folder / "figures", {f"{name}.svg": svg.encode() for name, svg in drawn.items()})
        _replace(folder / "grids", grids)
        _write(folder / "report.html", html.encode())
    except OSError as problem:
        raise ReportError(f"the report cannot be written to {folder}: {problem.strerror}") from None
    return folder / "report.html"


def _render(context: Mapping[str, Any]) -> str:
    """Fill the template; style and script are inlined so that the page loads nothing."""
    from jinja2 import DictLoader, Environment, StrictUndefined
    from markupsafe import Markup

    sources = {item.name: item.read_text(encoding="utf-8") for item in TEMPLATES.iterdir() if item.is_file()}
    environment = Environment(
        loader=DictLoader({name: text for name, text in sources.items() if name.endswith(".j2")}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = sources["report.js"]
    return environment.get_template("report.html.j2").render(
        style=Markup(sources["report.css"]),
        script=Markup(script),
        # The page may run this script and no other, whatever a label or a path smuggles in.
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        **context,
    )


def _replace(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files, then drop what an earlier report left in the folder."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        _write(folder / name, content)
    for old in folder.iterdir():
        if old.suffix in (".svg", ".png") and old.name not in files:
            old.unlink()


def _write(path: Path, content: bytes) -> None:
    # A reader never sees half a file: the new one takes the old one's place in a single step.
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(content)
    os.replace(temporary, path)
