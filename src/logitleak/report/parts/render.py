"""From a template to a page that loads nothing, and from contents to files that are whole or not there.

The heavy libraries are imported when a report is built, not when the package is imported.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from logitleak.files.atomic import write_atomic
from logitleak.report.parts.load import ReportError

TEMPLATES = resources.files("logitleak.report") / "templates"


def render(
    template: str,
    context: Mapping[str, Any],
    styles: Sequence[str] = ("report.css",),
    scripts: Sequence[str] = ("report.js",),
) -> str:
    """Fill a template; styles and scripts are inlined so that the page loads nothing."""
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
    script = "".join(sources[name] for name in scripts)
    return environment.get_template(template).render(
        style=Markup("".join(sources[name] for name in styles)),
        script=Markup(script),
        # The page may run this script and no other, whatever a label or a path smuggles in.
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        **context,
    )


def publish(folder: Path, html: str, figures: Mapping[str, str], grids: Mapping[str, bytes]) -> Path:
    """Write ``report.html``, ``figures/*.svg`` and ``grids/*.png``; the path of the page.

    Raises:
        ReportError: they cannot be written.
    """
    try:
        replace(folder / "figures", {f"{name}.svg": svg.encode() for name, svg in figures.items()})
        replace(folder / "grids", grids)
        write(folder / "report.html", html.encode())
    except OSError as problem:
        raise ReportError(f"the report cannot be written to {folder}: {problem.strerror}") from None
    return folder / "report.html"


def replace(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files, then drop what an earlier report left in the folder.

    Raises:
        ReportError: the folder is a link. A stranger's run could name any folder so, and its pictures would go.
    """
    if folder.is_symlink():
        raise ReportError(f"{folder} is a link; delete it, then write the report again")
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        write(folder / name, content)
    for old in folder.iterdir():
        if old.suffix in (".svg", ".png") and old.name not in files:
            old.unlink(missing_ok=True)  # a sweep may be writing its own report of the same cells


def write(path: Path, content: bytes) -> None:
    """Write a file that a reader never sees half of: the new one takes the old one's place in a single step."""
    write_atomic(path, lambda target: _fill(target, content))


def _fill(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)  # it may be a link to elsewhere
    path.write_bytes(content)
