"""A small capture for every test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from make_capture import make


@pytest.fixture(scope="session")
def shipped_capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound capture; do not change it."""
    return make(tmp_path_factory.mktemp("capture") / "pilot")


@pytest.fixture
def capture(shipped_capture: Path, tmp_path: Path) -> Path:
    """A sound capture to change."""
    return Path(shutil.copytree(shipped_capture, tmp_path / "pilot"))
