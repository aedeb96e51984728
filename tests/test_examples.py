"""The notebooks of ``examples/``: what is kept in them is fit to be shown, and they run."""

from __future__ import annotations

import base64
import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from needs import require

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
sys.path.insert(0, str(ROOT / "scripts"))

import docs_examples  # noqa: E402
import run_examples  # noqa: E402

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _code(path: Path) -> list[dict[str, Any]]:
    return [cell for cell in _read(path)["cells"] if cell["cell_type"] == "code"]


def test_there_are_notebooks() -> None:
    assert {path.stem for path in NOTEBOOKS} >= {"first-audit", "own-attack", "twin-worlds"}


@each
def test_a_notebook_is_small_and_was_run_from_top_to_bottom(path: Path) -> None:
    notebook = _read(path)
    assert path.stat().st_size < 300_000
    assert notebook["nbformat"] == 4
    assert notebook["cells"][0]["cell_type"] == "markdown"
    assert "".join(notebook["cells"][0]["source"]).startswith("# ")
    cells = _code(path)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert sum(bool(cell["outputs"]) for cell in cells) >= 3


@each
def test_outputs_hold_no_failure_and_nothing_of_a_machine(path: Path) -> None:
    for cell in _code(path):
        for output in cell["outputs"]:
            assert output["output_type"] != "error"
            data = output.get("data", {})
            said = "".join(
                "".join(text) for text in (output.get("text", ""), *data.values()) if text is not None
            )
            text = said if not set(data) & {"image/png"} else ""
            assert "Traceback" not in text
            assert not re.search(r"(?:^|[\s'\"(])/(?:home|root|tmp|Users|work|var|usr)/|[A-Z]:\\", text), text
    whole = path.read_text(encoding="utf-8")
    assert '"execution": {' not in whole
    assert path.parent == run_examples.EXAMPLES


@each
def test_links_of_a_notebook_lead_somewhere(path: Path) -> None:
    for cell in _read(path)["cells"]:
        if cell["cell_type"] == "markdown":
            for target in re.findall(r"\]\(([^)#\s]+)", "".join(cell["source"])):
                assert "://" in target or (path.parent / target).exists(), target


@each
def test_a_notebook_becomes_a_page(path: Path) -> None:
    notebook = _read(path)
    page, pictures = docs_examples.markdown(notebook, path.stem)
    assert page.startswith("# ")
    assert f"({path.name}){{: download }}" in page
    assert "../docs/" not in page
    assert len(pictures) == page.count("![")
    for name, content in pictures:
        assert f"({name})" in page
        assert content.startswith(b"\x89PNG") or b"<svg" in content
    for cell in _code(path):
        assert "".join(cell["source"]).rstrip() in page


def test_outputs_of_every_kind_are_shown() -> None:
    def code(*outputs: dict[str, Any]) -> dict[str, Any]:
        return {"cell_type": "code", "source": ["x = '```'\n", "x"], "outputs": list(outputs)}

    def result(**data: Any) -> dict[str, Any]:
        return {"output_type": "execute_result", "data": data}

    png = base64.b64encode(b"pixels").decode()
    notebook = {
        "cells": [
            {"cell_type": "markdown", "source": ["# Title\n", "[a page](../docs/data.md#lfw), [b](b.ipynb)"]},
            code(
                {"output_type": "stream", "name": "stdout", "text": ["one\n", "two\n"]},
                result(**{"text/plain": ["<Figure>"], "image/png": png}),
                result(**{"text/plain": ["<Figure>"], "image/svg+xml": ["<svg>", "</svg>"]}),
                result(
                    **{
                        "text/plain": "t",
                        "text/html": '<style>th {}</style>\n\n<table border="1">\n    <tr>\n</table>',
                    }
                ),
                result(**{"text/plain": ["'text'"]}),
            ),
        ]
    }
    page, pictures = docs_examples.markdown(notebook, "name")
    assert pictures == [("name-1.png", b"pixels"), ("name-2.svg", b"<svg></svg>")]
    assert page == (
        "# Title\n\n[The notebook itself](name.ipynb){: download }, to run and to change.\n"
        "[a page](../data.md#lfw), [b](b.md)\n\n"
        "````python\nx = '```'\nx\n````\n\n"
        "```text\none\ntwo\n```\n\n"
        "![What the cell above draws](name-1.png)\n\n"
        "![What the cell above draws](name-2.svg)\n\n"
        "<table>\n<tr>\n</table>\n\n"
        "```text\n'text'\n```\n"
    )


@pytest.mark.slow
@each
def test_a_notebook_runs(path: Path, tmp_path: Path) -> None:
    for package in ("nbclient", "ipykernel", "matplotlib", "pandas"):
        require(package)
    if path.stem.startswith("flower"):
        require("flwr")
    notebook = run_examples.execute(path, tmp_path)
    kept = [len(cell["outputs"]) for cell in _code(path)]
    assert [len(cell.outputs) for cell in notebook.cells if cell.cell_type == "code"] == kept


@pytest.mark.slow
def test_a_federation_on_a_table_is_recorded_and_audited(tmp_path: Path) -> None:
    """No image anywhere: who is where is found, and the coins give a bound."""
    import logitleak
    from logitleak.cli import main

    place = ROOT / "examples" / "audit-tables" / "federation.py"
    spec = importlib.util.spec_from_file_location("federation", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(tmp_path / "capture")
    main(["import", str(tmp_path / "capture"), "--out", str(tmp_path / "run")])
    found = logitleak.audit(tmp_path / "run", fast=True).found
    identity = next(one for one in found["audits"] if one["audit"] == "identity")["views"][0]["variants"][0]
    assert identity["game"]["area"]["value"] > 0.9
    assert identity["epsilon"]["bound"] > 0
