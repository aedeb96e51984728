"""A small finished run for tests of the stages, and one for tests that end it early."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import logitleak


@pytest.fixture
def finished_run(tmp_path: Path, tiny_config: Callable[..., dict[str, Any]]) -> Path:
    """Two clients, two rounds, ridge."""
    config = tiny_config() | {"attacks": ["ridge"]}
    return logitleak.run(config, tmp_path / "finished").path
