"""What the JSON files of a run and of its comparisons hold, declared once: who writes them checks
against it, who reads them parses by it (`reading`), and the schema is published.

Nothing here needs torch. ``python -m logitleak.formats FOLDER`` writes the schemas.
"""

from logitleak.formats.attack import AttackFile
from logitleak.formats.audit import AuditFile
from logitleak.formats.defend import DefendFile
from logitleak.formats.metrics import Metrics
from logitleak.formats.parts import Record
from logitleak.formats.result import ResultFile
from logitleak.formats.run import RunFile
from logitleak.formats.timings import TimingsFile
from logitleak.formats.training import TrainingFile

FILES: dict[str, type[Record]] = {
    "metrics": Metrics,
    "attack": AttackFile,
    "audit": AuditFile,
    "defend": DefendFile,
    "training": TrainingFile,
    "run": RunFile,
    "timings": TimingsFile,
    "result": ResultFile,
}
"""The files by name, without ``.json``."""

__all__ = [
    "FILES",
    "AttackFile",
    "AuditFile",
    "DefendFile",
    "Metrics",
    "ResultFile",
    "RunFile",
    "TimingsFile",
    "TrainingFile",
]
