"""Runs the notebooks of ``examples/`` and writes their outputs into them: ``make examples``.

What differs from machine to machine is taken out, so that a change of a notebook shows what has changed. Needs the
extra ``notebooks``.
"""

from __future__ import annotations

import base64
import io
import sys
import tempfile
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def execute(path: Path, folder: Path, seconds: int = 600) -> Any:
    """Run a notebook from its first cell to its last.

    Args:
        path: the notebook.
        folder: where it runs, and so where its ``runs/`` are.
        seconds: how long a cell may take.

    Returns:
        the notebook with what its cells gave, cleaned.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=seconds, resources={"metadata": {"path": str(folder)}}).execute()
    return cleaned(notebook, f"{folder}/")


def cleaned(notebook: Any, where: str = "") -> Any:
    """The notebook without times of execution and versions of a kernel, and with ids that stay.

    Args:
        notebook: what was run.
        where: how the paths begin that are of this machine alone.
    """
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells, 1):
        cell.id = f"cell-{number:02d}"
        cell.metadata = {}
        if cell.cell_type == "code":
            # what a kernel says of itself, such as a cache that a library builds, is no result
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                if "text" in output:
                    output.text = output.text.replace(where, "") if where else output.text
                if "metadata" in output:
                    output.metadata = {}
                if "image/png" in output.get("data", {}):
                    output.data["image/png"] = smaller(output.data["image/png"])
    return notebook


def smaller(picture: str) -> str:
    """A PNG with 256 colors, in base64: a third of the size, and enough for a figure in a page."""
    from PIL import Image

    image = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB")
    found = io.BytesIO()
    image.quantize(256, dither=Image.Dither.NONE).save(found, "PNG", optimize=True)
    return base64.b64encode(found.getvalue()).decode()


def main(names: list[str]) -> None:
    """Run the notebooks of these names, all by default, and keep their outputs."""
    import nbformat

    for path in [EXAMPLES / f"{name}.ipynb" for name in names] or sorted(EXAMPLES.glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as folder:
            notebook = execute(path, Path(folder))
        nbformat.write(notebook, path)
        print(path.name)


if __name__ == "__main__":
    main(sys.argv[1:])
