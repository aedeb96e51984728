"""``result.json`` of a sweep's cell: its attack, scored against the truth."""

from __future__ import annotations

from logitleak.formats.metrics import Attack
from logitleak.formats.parts import Share


class ResultFile(Attack):
    """The entry that the attack would have in ``metrics.json``. A cell always attacks, and always has the truth.

    Attributes:
        attack: the registered attack.
        accuracy, too_close_to_public: the paper's measure over the targets, with a game over those that are in.
        mean: of each image metric.
    """

    remedy = "remove it and give `logitleak sweep` with this --out again"

    attack: str
    accuracy: Share
    too_close_to_public: Share
    mean: dict[str, float | None]
