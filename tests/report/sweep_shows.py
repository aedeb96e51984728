"""What the tests have a sweep's report show: every kind of table, figure and strip."""

from __future__ import annotations

from typing import Any

EVERY_KIND: list[dict[str, Any]] = [
    {"kind": "table", "title": "Accuracy", "rows": ["attack", "tau"], "columns": ["scheme", "clients"]},
    {"kind": "table", "title": "SSIM", "rows": ["attack"], "panels": ["clients"], "value": "ssim"},
    {"kind": "table", "title": "Utility", "rows": ["scheme"], "value": "utility"},
    {"kind": "bars", "title": "Too close", "rows": ["scheme", "clients"], "columns": ["attack"], "value": "too_close"},
    {"kind": "bars", "title": "Owners", "rows": ["scheme"], "panels": ["attack"], "value": "owner_named"},
    {"kind": "trade-off", "title": "By tau", "panels": ["scheme"], "size": "tau"},
    {"kind": "confidence", "title": "Confidence", "panels": ["scheme"]},
    {"kind": "client-ssim", "title": "Among clients", "panels": ["scheme"]},
    {"kind": "strips", "title": "Rounds", "strip": "round", "rows": ["attack"], "targets": 3, "only": {"tau": [3]}},
    {"kind": "strips", "title": "Schemes", "strip": "cell", "columns": ["scheme"], "rows": ["attack"], "targets": 3},
    {"kind": "strips", "title": "Priors", "strip": "prior", "columns": ["scheme"], "only": {"attack": ["pli"]}},
]  # fmt: skip
