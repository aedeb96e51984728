"""What a sweep left: its journal, with a line for everything that was really computed, and the numbers of its table."""

import json
from pathlib import Path
from typing import Any

from logitleak.sweep.table import table


def computed(sweep: Path) -> list[dict[str, Any]]:
    """Its lines; none where there is no journal yet."""
    path = sweep / "journal.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def numbers(out: Path) -> list[dict[str, Any]]:
    """The table without what no two sweeps share: times."""
    return [{key: value for key, value in row.items() if key != "seconds"} for row in table(out)]
