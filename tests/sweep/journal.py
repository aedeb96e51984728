"""The journal of a sweep: a line for everything that was really computed."""

import json
from pathlib import Path
from typing import Any


def computed(sweep: Path) -> list[dict[str, Any]]:
    """Its lines; none where there is no journal yet."""
    path = sweep / "journal.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
