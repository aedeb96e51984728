"""How the federation went: a part of ``metrics.json``."""

from __future__ import annotations

from typing import ClassVar

from logitleak.formats.parts import Ended, Loss, Record

NOT_DRAWN = "was not drawn for this round"
"""Why a client is absent that was not meant to take part; see `federation.participation`."""


class Bytes(Record):
    """Bytes of tensors in a round, seen from the server."""

    round: int
    client: int
    received: int
    sent: int


class Absent(Record):
    """A client that did not answer, or was not asked (`NOT_DRAWN`)."""

    round: int
    action: str
    client: int
    reason: str


class Federation(Record):
    """How the federation went; with twins the first world.

    Attributes:
        losses: of training.
        bytes: of each client in each round.
        weights: bytes of each client's model.
        absent: who did not answer.
        ended: null, or why it ended early.
    """

    older: ClassVar = {"weights": [], "absent": []}

    losses: list[Loss]
    bytes: list[Bytes]
    weights: list[int]
    absent: list[Absent]
    ended: Ended | None
