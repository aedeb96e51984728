"""The parts of ``metrics.json`` that a game fills: in against out."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from logitleak.formats.parts import Record, Share


class Difference(Record):
    """In minus out of successes.

    Attributes:
        value, low, high: a difference of shares with its 95 % interval.
        p: two-sided; null where the method gives none.
        method: how both came about.
    """

    value: float
    low: float | None
    high: float | None
    p: float | None
    method: Literal["newcombe-10", "newcombe-independent", "bootstrap"]


class Table(Record):
    """With two twin worlds how many targets succeeded in both, in one of them, and in neither."""

    both: int
    only_in: int
    only_out: int
    neither: int


class Wins(Share):
    """Targets whose image in is nearer to the truth than their image out.

    Attributes:
        ties: left out of the trials.
        p: exact binomial, two-sided.
    """

    ties: int
    p: float | None


class Area(Record):
    """How well likeness tells two groups apart.

    Attributes:
        value: area under the curve; null where it cannot be said.
        p: Mann and Whitney.
    """

    value: float | None
    p: float | None


class Likeness(Record):
    """Mean SSIM to the truth.

    Attributes:
        in: where the images took part.
        out: where they did not.
        difference, low, high: with its 95 % interval; null where there are too few targets.
    """

    inside: float | None = Field(alias="in")
    outside: float | None = Field(alias="out")
    difference: float | None
    low: float | None
    high: float | None


class Comparison(Record):
    """In against out, for one image of every target.

    Attributes:
        in: successes where the images took part.
        out: where they did not.
        leak: the difference.
        table: of two twin worlds.
        wins: of twins.
        auc: of decoys and recorded games.
        ssim: likeness.
    """

    inside: Share = Field(alias="in")
    outside: Share = Field(alias="out")
    leak: Difference
    table: Table | None
    wins: Wins | None
    auc: Area | None
    ssim: Likeness


class Side(Record):
    """A target on one side of a game, as the mean over its worlds.

    Attributes:
        success: with two worlds 0 or 1.
        ssim: to the truth.
    """

    success: float | None
    ssim: float | None


class TargetSides(Record):
    """A target in and out.

    Attributes:
        label, name: which.
        owner: the client that holds it, or stands for it; null where nobody said.
        in: null where it never took part.
        out: null where it always did.
    """

    label: int
    name: str
    owner: int | None
    inside: Side | None = Field(alias="in")
    outside: Side | None = Field(alias="out")


class RoundLeak(Record):
    """The leak after a round; as in `Leak`."""

    round: int
    chosen: Comparison
    owner: Comparison | None


class Leak(Record):
    """What the private images changed, after the last round.

    Attributes:
        chosen: of the image that the attack chose.
        owner: of the image of the owner, or of the client that the game asks about; null where it is not known.
        p_holm: after Holm's correction over all attacks that are not primary; of the test that the game's measure asks.
        rounds: after each round.
        per_target: each target in the game.
    """

    chosen: Comparison
    owner: Comparison | None
    p_holm: float | None
    rounds: list[RoundLeak]
    per_target: list[TargetSides]
