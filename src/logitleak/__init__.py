"""Logitleak shows what federated distillation gives away.

>>> import logitleak
>>> result = logitleak.run("configs/demo.yaml", "runs/demo")
>>> answers = logitleak.audit("runs/demo", fast=True).found
>>> rebuilt = logitleak.attack("runs/demo/worlds/0", "ridge", tau=3.0)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = [
    "AttacksFailed",
    "CaptureWriter",
    "Transcript",
    "UserError",
    "__version__",
    "attack",
    "audit",
    "run",
]

if TYPE_CHECKING:
    from logitleak.capture.writer import CaptureWriter
    from logitleak.errors import UserError
    from logitleak.stages.audit import audit
    from logitleak.stages.run import AttacksFailed, attack, run
    from logitleak.wire.transcript import Transcript

_LAZY = {
    "AttacksFailed": "logitleak.stages.run",
    "CaptureWriter": "logitleak.capture.writer",
    "UserError": "logitleak.errors",
    "attack": "logitleak.stages.run",
    "audit": "logitleak.stages.audit",
    "run": "logitleak.stages.run",
    "Transcript": "logitleak.wire.transcript",
}


def __getattr__(name: str) -> Any:
    """Import torch only when something that needs it is used, so that the command line starts quickly."""
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
