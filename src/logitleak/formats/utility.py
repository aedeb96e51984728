"""The parts of ``metrics.json`` that say what the federation is worth to those who take part."""

from __future__ import annotations

from logitleak.formats.parts import Record, Share


class ClientShares(Record):
    """Shares of each client on all held-out images, and on those of its own classes."""

    all: list[Share]
    own: list[Share | None]


class Gain(Record):
    """Federated minus alone, over images of which each counts the mean over clients."""

    difference: float
    low: float | None
    high: float | None


class ByClass(Record):
    """Right answers by class: of each client alone and federated, and of the central model."""

    labels: list[int]
    images: list[int]
    alone: list[list[int]]
    federated: list[list[int]]
    central: list[list[int]]


class Baselines(Record):
    """What federating buys, in the first world."""

    central: Share
    server: Share
    alone: ClientShares
    federated: ClientShares
    gain: Gain
    by_class: ByClass


class RoundUtility(Record):
    """Accuracy after a round, as plain numbers."""

    round: int
    server: float | None
    clients: list[float | None]


class Utility(Record):
    """Accuracy on held-out images after the last round, over all worlds.

    Attributes:
        held_out: images.
        server, clients: shares.
        rounds: after each round.
        baselines: null unless they were trained.
    """

    held_out: int
    server: Share | None
    clients: list[Share | None]
    rounds: list[RoundUtility]
    baselines: Baselines | None
