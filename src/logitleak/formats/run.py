"""``run.json``: how far a run is, and what it was made with."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from logitleak.formats.parts import Ended, Made, Record


class RunFile(Record):
    """The state of a run.

    Attributes:
        format: 1.
        federation: content hash of what the transcript depends on; null where a federation is simulated by itself.
        attacks: content hash of each attack, by name.
        primary: the attack that the verdict rests on.
        failed: attacks that failed, with the reason.
        made_by: which version made what.
        federated: whether the federation is finished.
        deployed: whether it was a real one, over Flower.
        weights: bytes of each client's model.
        ended: null, or why a real federation ended early.
    """

    format: Literal[1]
    federation: str | None = None
    attacks: dict[str, str] = Field(default_factory=dict)
    primary: str | None = None
    failed: dict[str, str] = Field(default_factory=dict)
    made_by: Made = Made()
    federated: bool = False
    deployed: bool = False
    weights: list[int] = Field(default_factory=list)
    ended: Ended | None = None
