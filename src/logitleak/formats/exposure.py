"""What the scores of an audit are worth: a part of ``audit.json`` and of ``metrics.json``."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from logitleak.formats.leak import Wins
from logitleak.formats.parts import Record, Share


class Area(Record):
    """The area under the curve, members against non-members, with its 95 % interval (Newcombe, 2006).

    Attributes:
        value, low, high: one half is a coin.
        positives, negatives: how many scores of members and of others stand behind it.
    """

    value: float
    low: float
    high: float
    positives: int
    negatives: int


class OperatingPoint(Record):
    """True positives at a false-positive rate.

    Attributes:
        asked: the rate that thresholds were set for, on the other half of the non-members.
        true_positives, false_positives: what came out.
    """

    asked: float
    true_positives: Share
    false_positives: Share


class UnitScores(Record):
    """A target's mean score where it was in and where it was out; null where it never was, or nothing is known."""

    place: int
    inside: float | None = Field(alias="in")
    outside: float | None = Field(alias="out")


class OfGame(Record):
    """Members against non-members, by the coins of a game.

    Attributes:
        area: of all scores.
        points: as many as there are non-members for.
        pairs: how often a target scored higher in than out; of twins.
        per_unit: every target in the game.
        detectable: the smallest area that so many targets would have shown with a chance of 80 %.
    """

    area: Area
    points: list[OperatingPoint]
    pairs: Wins | None
    per_unit: list[UnitScores]
    detectable: float


class AmongClients(Record):
    """Clients that hold a target against those that do not.

    Attributes:
        area: over all clients and targets.
        named: targets for which a client that holds them scores highest.
    """

    area: Area
    named: Share | None


class Epsilon(Record):
    """A lower bound on ε, or why there is none.

    Attributes:
        bound: at 95 %, from one run with many coins (Steinke et al., 2023).
        gaussian: the same for mechanisms that are no easier to guess from than a Gaussian one.
        ceiling: what the bound would be if every guess were right.
        delta, unit, adjacency: of the definition.
        coins, guesses, right: counts.
        none: why there is no bound; null where there is one.
    """

    bound: float | None = None
    gaussian: float | None = None
    ceiling: float | None = None
    delta: float | None = None
    unit: Literal["person", "person-at-client", "image"] | None = None
    adjacency: str | None = None
    coins: int | None = None
    guesses: int | None = None
    right: int | None = None
    none: str | None


class Distance(Record):
    """How far estimated shares of classes are from the true ones."""

    total_variation: float | None
    largest: float | None
    kl: float | None


class OfShares(Record):
    """Shares of classes at clients.

    Attributes:
        mean: over clients and worlds; null where nobody counted what a client holds (captures without images).
        clients: each client, in the first world.
        presence: whether a class is at a client at all, by its share.
    """

    mean: Distance
    clients: list[Distance]
    presence: Area | None


class Gain(Record):
    """A paired difference with its 95 % interval."""

    difference: float | None
    low: float | None
    high: float | None


class OfModels(Record):
    """How often a substitute says what the client's model says.

    Attributes:
        agreement: over clients and images; the interval counts images once.
        gain: agreement minus that of the best model that nobody stole; null for such models.
        against: which model that is; null for such models.
    """

    older: ClassVar = {"against": "server's own model"}

    agreement: Share
    gain: Gain | None
    against: str | None


class Lead(Record):
    """How much larger the area of the primary variant is than this one's, on the same scores (DeLong); no interval
    where no variance is seen."""

    difference: float
    low: float | None
    high: float | None


class Result(Record):
    """What one variant of an audit found. What does not apply is null.

    Attributes:
        variant: its name.
        game, clients: of scores.
        epsilon: of the primary variant.
        lead: of the primary variant over this one, where both score the same candidates.
        shares: of shares.
        models: of substitutes.
    """

    variant: str
    game: OfGame | None = None
    clients: AmongClients | None = None
    epsilon: Epsilon | None = None
    lead: Lead | None = None
    shares: OfShares | None = None
    models: OfModels | None = None
