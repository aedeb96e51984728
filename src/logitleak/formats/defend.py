"""``defend.json``: what every defense leaves, and what it costs."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from logitleak.formats.parts import FORMAT, Record
from logitleak.formats.utility import Gain


class ImageLeak(Record):
    """What an attack on images finds, over all targets and seeds.

    Attributes:
        value, low, high: success in minus success out, with its 95 % interval: of pairs with two twin worlds, of two
            groups with decoys, else a mean over seeds.
        p: of the exact test; of a mean over seeds the smallest, times their number.
        wins, of: targets whose image is better in than out, of those that do not tie; null where different targets were
            in and out.
        wins_p: of the exact test of that.
        auc, auc_p: how well likeness tells targets that were in from those that were out, and Mann and Whitney's test;
            null of twins.
        shown: whether it is shown that private images change what comes back.
    """

    value: float | None
    low: float | None
    high: float | None
    p: float | None
    wins: int | None
    of: int | None
    wins_p: float | None
    auc: float | None
    auc_p: float | None
    shown: bool


class MeanArea(Record):
    """Areas under the curve, as their mean over seeds.

    Attributes:
        value, low, high: with a 95 % interval of the mean; one half is a coin.
        seeds: of each seed.
        onlooker, variant: whose, and by which score.
        claim: what is told apart. "game": at one client, what took part from what did not. "clients": clients that hold
            what is asked about from those that do not.
    """

    value: float
    low: float
    high: float
    seeds: list[float]
    onlooker: str
    variant: str
    claim: Literal["game", "clients"]


class Line(Record):
    """One setting.

    Attributes:
        setting: its name.
        defenses: as in a configuration.
        missing: what failed, or was not computed, in words; empty where everything is there.
        leaks: by attack.
        identity: who is at which client, by the score that was named beforehand, for who sees every upload.
        strongest: the same by whichever score, onlooker and claim is farthest from one half; of many, so it is never
            exactly one half.
        records: which single images were used, never asked about; null without such an audit.
        epsilon: the lower bound of the first audit that has one, by the score that was named beforehand, for who sees
            most, in the first seed; null where no coins allow one.
        promised: by defense, in words.
        accuracy, server: of clients and of the server on held-out images of classes that somebody holds privately, a
            mean over clients and seeds.
        own: accuracy of each client on held-out images of the classes that it holds, in the mean.
        gain: accuracy of clients less that of clients alone, paired over images.
        loss: accuracy less that without defense.
        bytes: that a client sends in a round, in the mean.
        seconds: of the federation, in all worlds, in the mean over seeds.
    """

    setting: str
    defenses: list[dict[str, Any]]
    missing: list[str]
    leaks: dict[str, ImageLeak]
    identity: MeanArea | None
    strongest: MeanArea | None
    records: MeanArea | None
    epsilon: float | None
    promised: dict[str, str]
    accuracy: float | None
    server: float | None
    own: float | None
    gain: Gain | None
    loss: Gain | None
    bytes: int | None
    seconds: float | None


class Recommendation(Record):
    """What follows from the lines.

    Attributes:
        kind: "use" a setting; "costly": what hides costs too much; "exposed": nothing hides; "needless": nothing was
            found without a defense; "unknown": too little is known, or something is missing.
        setting: the setting that the sentence is about; null where it is about none.
        sentence: in plain words.
        hides, keeps: the settings that pass either bar; none of which something is missing hides.
    """

    kind: Literal["use", "costly", "exposed", "needless", "unknown"]
    setting: str | None
    sentence: str
    hides: list[str]
    keeps: list[str]


class DefendFile(Record):
    """Everything that the page reads.

    Attributes:
        format: 1.
        title, noun, seeds, scheme, clients, rounds, targets, versions: of the federation.
        measure: what the game is decided by, success or wins.
        fast: whether one strength of each was tried, and audits trained nothing.
        bought: accuracy of clients without defense less that of clients alone, paired over held-out images.
        hidden: how far from one half an area may be that counts as hidden.
        kept: which share of what federating buys must stay.
        lines: the first is without a defense.
        recommendation: what follows.
    """

    older: ClassVar = {"format": FORMAT}
    remedy = "give `logitleak defend` again, which goes on where it was"

    format: Literal[1]
    title: str
    noun: str
    seeds: list[int]
    scheme: str
    clients: int
    rounds: int
    targets: int
    versions: dict[str, str]
    measure: Literal["success", "wins"]
    fast: bool
    bought: Gain | None
    hidden: float
    kept: float
    lines: list[Line]
    recommendation: Recommendation
