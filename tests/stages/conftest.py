"""A small finished run for tests of the stages, and one for tests that end it early."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import logitleak
from logitleak import registry
from quick_schemes import quick


@pytest.fixture(params=registry.names("scheme"))
def run_of_every_scheme(
    request: pytest.FixtureRequest, tmp_path: Path, tiny_config: Callable[..., dict[str, Any]]
) -> Path:
    """A finished federation of each registered scheme: two clients, two rounds, no attack yet."""
    config = tiny_config()
    config["federation"] = {
        "scheme": request.param, "clients": 2, "rounds": 2, "batch": 16, "settings": quick(request.param),
    }  # fmt: skip
    return logitleak.run(config | {"attacks": {}}, tmp_path / "scheme").path


@pytest.fixture
def finished_run(tmp_path: Path, tiny_config: Callable[..., dict[str, Any]]) -> Path:
    """Two clients, two rounds, ridge."""
    config = tiny_config() | {"attacks": ["ridge"]}
    return logitleak.run(config, tmp_path / "finished").path
