"""A run's folder, as far as trackers read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml


def _share(value: float) -> dict[str, Any]:
    return {"value": value, "low": value / 2, "high": value * 2, "successes": 1, "trials": 4}


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """The files of a run that trackers read, with numbers that can be told apart."""
    said = {"summary": "", "settings": {}, "assumptions": [], "choices": {}, "losses": []}
    leak = {"value": 0.3, "low": 0.1, "high": 0.5, "p": 0.04, "method": "newcombe-10"}
    chosen = {
        "in": _share(0.45), "out": _share(0.15), "leak": leak, "wins": _share(0.9) | {"ties": 0, "p": 0.5}, "auc": None,
        "ssim": {"in": 0.6, "out": 0.4, "difference": 0.2, "low": None, "high": None},
    }  # fmt: skip
    target = {
        "label": 0, "name": "Ada", "owner": None, "chosen": 0, "success": True, "too_close_to_public": False,
        "best_match": "private:0", "ssim": 0.6,
    }  # fmt: skip
    attack = said | {
        "kind": "attack", "accuracy": _share(0.4), "too_close_to_public": _share(0.2), "owner_named": None,
        "mean": {"ssim": 0.6, "mse": 0.02, "psnr": 17.0, "tv": 0.05}, "per_target": [target],
        "rounds": [
            {"round": t, "accuracy": _share(t / 10), "too_close_to_public": _share(t / 20), "ssim": t / 5}
            for t in (1, 2)
        ],
        "leak": {
            "chosen": chosen, "owner": None, "p_holm": None, "per_target": [],
            "rounds": [{"round": 1, "chosen": chosen | {"leak": leak | {"value": 0.05}}, "owner": None}],
        },
    }  # fmt: skip
    metrics = {
        "config": {}, "config_hash": "abc", "seed": 3,
        "versions": {"logitleak": "1.2.3"},
        "threat_model": {"scheme": "fedmd", "adversary": "", "sees": [], "knows": [], "never_sees": []},
        "data": {
            "title": "Made up", "source": "synthetic", "synthetic": True, "classes": 8, "targets": 4, "clients": 3,
            "public_sensitive": 1, "public_insensitive": 1, "image_size": 16,
        },
        "game": {
            "design": "twins", "worlds": 2, "units": 4, "in": [2, 2],
            "primary": {"attack": "gap", "image": "chosen", "round": 2},
        },
        "attacks": {"gap": attack, "unscored": said | {"kind": "attack"}},
        "utility": {
            "held_out": 10, "server": _share(0.7), "clients": [_share(0.5), None, _share(0.3)],
            "rounds": [{"round": 1, "server": 0.6, "clients": [0.2, 0.4]}],
        },
        "federation": {
            "losses": [],
            "bytes": [{"round": t, "client": k, "received": 10 * t, "sent": 1} for t in (1, 2) for k in (0, 1)],
        },
    }  # fmt: skip
    folder = tmp_path / "first"
    folder.mkdir()
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "timings.json").write_text(
        json.dumps({"federation_seconds": 2.5, "peak_memory_mib": 100, "threads": 1})
    )
    config = {"seed": 3, "noun": "person", "data": {"targets": 4}, "federation": {"models": ["cnn"]}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder
