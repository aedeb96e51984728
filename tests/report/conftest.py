"""A run folder made up by the contract, whole and ready to be damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fabricate import fabricate


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Eight targets, three clients, three rounds."""
    return fabricate(tmp_path / "run", size=32)


@pytest.fixture
def edit(run: Path) -> Callable[[Callable[[dict[str, Any]], None]], Path]:
    """Change metrics.json in place."""

    def change(how: Callable[[dict[str, Any]], None]) -> Path:
        path = run / "metrics.json"
        metrics = json.loads(path.read_text())
        how(metrics)
        path.write_text(json.dumps(metrics))
        return run

    return change
