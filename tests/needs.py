"""Packages that need not be installed: tests that use one skip without it, and say what to install."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

EXTRAS = {
    "cryptography": "flower", "datasets": "datasets", "flwr": "flower", "flwr_datasets": "oracles", "mlflow": "mlflow",
    "opacus": "dp", "ray": "ray", "selenium": "dev", "sklearn": "dev", "tenseal": "he", "wandb": "wandb",
    "build": "release", "hatchling": "release", "twine": "release",
    "ipykernel": "notebooks", "matplotlib": "notebooks", "nbclient": "notebooks", "pandas": "notebooks",
}  # fmt: skip
"""The extra of pyproject.toml that brings each of them, if only by way of another package."""


def needs(package: str) -> pytest.MarkDecorator:
    """The mark of a test that skips without this package."""
    return pytest.mark.skipif(find_spec(package) is None, reason=_missing(package))


def require(module: str) -> Any:
    """The module; whoever calls this, a test or a whole file of them, skips without it."""
    return pytest.importorskip(module, reason=_missing(module.partition(".")[0]))


def _missing(package: str) -> str:
    return f'{package} is not installed: pip install -e ".[{EXTRAS[package]}]"'
