"""What several files of a run share."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from logitleak.strict import Strict


class Record(Strict):
    """A part of a file that the tool itself writes: every key is there, and no other."""

    @classmethod
    def checked(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Values as they are, if they are what this file holds.

        Raises:
            ValueError: they are not, which is a fault of who makes them.
        """
        cls.model_validate(values)
        return values


class Share(Record):
    """A proportion with its Wilson 95 % interval.

    Attributes:
        value, low, high: in [0, 1]; null where nothing was tried.
        successes, trials: counts. Where worlds try the same targets again, the interval is that of one try each.
    """

    value: float | None
    low: float | None
    high: float | None
    successes: float
    trials: float


class Made(Record):
    """Which version of the tool made what.

    Attributes:
        federation: null where it was recorded elsewhere.
        attacks: by name.
    """

    federation: str | None = None
    attacks: dict[str, str] = Field(default_factory=dict)


class Ended(Record):
    """A federation that ended before its time.

    Attributes:
        after_round: the last round that is whole.
        reason: why.
    """

    after_round: int
    reason: str


class Loss(Record):
    """The mean loss of an epoch of a model.

    Attributes:
        round: 0 before round 1.
        phase: what the scheme calls it.
        client: null for the server.
        epoch: from 1.
        loss: six digits.
    """

    round: int
    phase: str
    client: int | None
    epoch: int
    loss: float


class Skipped(Record):
    """Something that was left out.

    Attributes:
        path: a file, or a person.
        reason: why.
    """

    path: str
    reason: str


class Confidence(Record):
    """Fig. 3 of the paper: how sure models are.

    Attributes:
        bins: edges in nats.
        server_public, server_private, client_public, client_private: normalized histograms of entropies.
    """

    bins: list[float]
    server_public: list[float]
    server_private: list[float]
    client_public: list[float]
    client_private: list[float]


class AttackLoss(Record):
    """A point of an attack's training.

    Attributes:
        round, client, step: where.
        loss: null where it was no number.
    """

    round: int
    client: int | None
    step: int
    loss: float | None


Free = dict[str, Any]
"""Whatever a plug-in says: its settings, its choices."""
