"""A sweep that takes seconds: made-up people, two schemes, two attacks, one of them in two variants."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

WriteSweep = Callable[..., Path]


@pytest.fixture
def write_sweep(tmp_path: Path, tiny_config: Callable[..., dict[str, Any]]) -> WriteSweep:
    """A factory of sweep files; keyword arguments replace its sections."""

    def write(**sections: Any) -> Path:
        base = tiny_config() | {
            "attacks": {"ridge": {}, "pli": {"settings": {"width": 16, "steps": 2, "batch": 4}}}
        }
        base["federation"] = {"clients": 2, "rounds": 2, "batch": 16}
        sweep = {
            "base": base,
            "grid": {"federation.scheme": ["fedmd", "dsfl"], "attacks.pli.settings.tau": [3, 10]},
        } | sections
        path = tmp_path / "sweep.yaml"
        path.write_text(yaml.safe_dump(sweep, sort_keys=False))
        return path

    return write
