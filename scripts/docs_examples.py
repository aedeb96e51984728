"""Shows the notebooks of ``examples/`` as pages of the site, with the outputs that are kept in them (see mkdocs.yml).

A notebook becomes Markdown like every other page: its code gets the site's colors, the search finds it, and nothing is
loaded from another host, which the templates of notebook plug-ins do for formulas and widgets.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
FOLDER = "examples"
"""Where the pages stand in the site."""

_PICTURES = {"image/png": "png", "image/svg+xml": "svg"}

Picture = tuple[str, bytes]


def markdown(notebook: dict[str, Any], name: str) -> tuple[str, list[Picture]]:
    """A notebook as a page, and the pictures that stand beside it.

    Args:
        notebook: what the file holds, as JSON.
        name: the file's name without its ending; pictures are called after it.
    """
    blocks: list[str] = []
    pictures: list[Picture] = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            blocks.append(_in_the_site(source))
        elif cell["cell_type"] == "code":
            blocks.append(_fenced(source, "python"))
            for output in cell["outputs"]:
                blocks += _shown(output, name, pictures)
    title, _, rest = "\n\n".join(blocks).partition("\n")
    link = f"[The notebook itself]({name}.ipynb){{: download }}, to run and to change."
    return f"{title}\n\n{link}\n{rest}\n", pictures


def _in_the_site(text: str) -> str:
    """Links into ``docs/`` as they are from where the page stands, and other notebooks as the pages that they are."""
    return re.sub(r"\]\(([\w-]+)\.ipynb\)", r"](\1.md)", text.replace("](../docs/", "](../"))


def _fenced(text: str, language: str) -> str:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def _shown(output: dict[str, Any], name: str, pictures: list[Picture]) -> Iterator[str]:
    """What one output of a cell shows: a picture, a table, or text, whichever says most."""
    if output["output_type"] == "stream":
        yield _fenced("".join(output["text"]), "text")
        return
    data = output.get("data", {})
    for kind, ending in _PICTURES.items():
        if kind in data:
            content = "".join(data[kind])
            file = f"{name}-{len(pictures) + 1}.{ending}"
            pictures.append((file, base64.b64decode(content) if ending == "png" else content.encode()))
            yield f"![What the cell above draws]({file})"
            return
    if "text/html" in data:
        table = re.sub(r"<style.*?</style>", "", "".join(data["text/html"]), flags=re.DOTALL)
        table = re.sub(r"<table[^>]*>", "<table>", table)  # the site's own looks
        lines = (line.strip() for line in table.splitlines())
        yield "\n".join(line for line in lines if line)  # an indented line would be code
    elif "text/plain" in data:
        yield _fenced("".join(data["text/plain"]), "text")


def on_files(files: Any, config: Any, **_: Any) -> Any:
    """What mkdocs calls when it has listed the pages: add one for each notebook, its pictures, and the file."""
    from mkdocs.structure.files import File

    for path in sorted(EXAMPLES.glob("*.ipynb")):
        text, pictures = markdown(json.loads(path.read_text(encoding="utf-8")), path.stem)
        files.append(File.generated(config, f"{FOLDER}/{path.stem}.md", content=text))
        files.append(File.generated(config, f"{FOLDER}/{path.name}", abs_src_path=str(path)))
        for file, content in pictures:
            files.append(File.generated(config, f"{FOLDER}/{file}", content=content))
    return files
