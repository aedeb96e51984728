"""Settings with which schemes that do more than train their models take no longer than the others."""

from __future__ import annotations

from typing import Any

QUICK: dict[str, dict[str, Any]] = {
    "fedavg-gan": {"gan_steps": 2, "gan_batch": 4, "gan_filters": 4, "held": 4, "injected": 4, "samples": 2}
}


def quick(scheme: str) -> dict[str, Any]:
    """The settings of a scheme in tests that are not about it."""
    return QUICK.get(scheme, {})
