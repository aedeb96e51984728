"""Writes the JSON Schema of every file of a run into a folder: ``python -m logitleak.formats docs/formats``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from logitleak.formats import FILES
from logitleak.formats.parts import Record


def schema(model: type[Record]) -> str:
    """The JSON Schema of a file as text."""
    return json.dumps(model.model_json_schema(by_alias=True), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, model in FILES.items():
        (folder / f"{name}.schema.json").write_text(schema(model), encoding="utf-8")
