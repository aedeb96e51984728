"""``metrics.json``: every number of the report."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from logitleak.formats.exposure import Result
from logitleak.formats.federation import Federation
from logitleak.formats.leak import Leak
from logitleak.formats.parts import (
    FORMAT,
    AttackLoss,
    Confidence,
    Free,
    Made,
    Record,
    Share,
    Skipped,
)
from logitleak.formats.utility import Utility


class ThreatModel(Record):
    """Who attacks, and what that adversary sees, knows and never sees: sentences."""

    scheme: str
    adversary: str
    sees: list[str]
    knows: list[str]
    never_sees: list[str]


class Primary(Record):
    """What the verdict rests on, named before the truth was opened.

    Attributes:
        attack: its name.
        image: the image that it chose, or that of the owner, where the client is a part of the question.
        round: the last.
    """

    attack: str
    image: Literal["chosen", "owner"]
    round: int


class Game(Record):
    """How it was decided who is in.

    Attributes:
        design: where the coins are from.
        unit: what a coin decides about.
        worlds: how often the federation ran.
        units: targets in the game.
        in: how many of them are in, by world.
        primary: null without attacks.
        measure: what the verdict asks: successes, or which image is nearer to the truth.
    """

    older: ClassVar = {"unit": "person", "measure": "success"}

    design: Literal["twins", "decoys", "canaries", "recorded"]
    unit: Literal["person", "person-at-client", "image"]
    worlds: int
    units: int
    inside: list[int] = Field(alias="in")
    primary: Primary | None
    measure: Literal["success", "wins"]


class Data(Record):
    """What the federation was trained on; null is what nobody said.

    Attributes:
        recorded: whether the federation ran elsewhere.
        title, source, protocol, synthetic: what the data are.
        identities: in the data that take part.
        classes, targets, clients: J, T and K.
        public_sensitive, public_insensitive: images in D_0 and D_a.
        private: images of each client.
        holdings: where classes are shared, private images of each target by client.
        held_out: images.
        image_size: side in pixels.
        skipped: what was left out.
        chance: of a blind guess among all that reconstructions are compared with.
        aggregation: the kind of aggregator behind which the mean of the uploads alone was seen; "plain" where each was.
    """

    older: ClassVar = {"recorded": False, "skipped": [], "aggregation": "plain"}

    recorded: bool
    title: str
    source: str | None
    protocol: str | None
    synthetic: bool | None
    identities: int | None
    classes: int
    targets: int
    clients: int
    public_sensitive: int
    public_insensitive: int
    private: list[int] | None
    holdings: list[list[int]] | None
    held_out: int | None
    image_size: int
    skipped: list[Skipped]
    chance: float | None
    aggregation: str


class Null(Record):
    """What the same attack scores where it cannot have seen the private image.

    Attributes:
        kind: whose outputs were attacked instead.
        round: after which round.
        accuracy: by the paper's measure.
        ssim: mean, to the truth.
        summary: one line.
    """

    kind: Literal["non-owners", "own-model"]
    round: int
    accuracy: Share
    ssim: float | None
    summary: str


class PerTarget(Record):
    """One target, judged; metrics of other packages stand beside these.

    Attributes:
        label, name: which.
        owner: null where nobody said.
        holders: all clients that hold it, where classes are shared.
        chosen: the client whose image was chosen.
        member: whether it takes part anywhere; with a game only.
        success: by the paper's test.
        too_close_to_public: the best match is its own public mean.
        best_match: "private:LABEL" or "public:LABEL".
        ssim, ssim_public, ssim_rival: to the truth, to the own public mean, to the best competitor.
        mse, psnr, tv: to the truth; total variation of the image alone.
    """

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)

    label: int
    name: str
    owner: int | None
    holders: list[int] | None = None
    chosen: int
    member: bool | None = None
    success: bool
    too_close_to_public: bool
    best_match: str
    ssim: float | None
    ssim_public: float | None
    ssim_rival: float | None
    mse: float | None
    psnr: float | None
    tv: float | None


class RoundScore(Record):
    """The paper's measure after a round."""

    round: int
    accuracy: Share
    too_close_to_public: Share
    ssim: float | None


class ClientSSIM(Record):
    """Fig. 4: mean SSIM of a client's image to the other clients', for owners and for the rest."""

    owner: list[float | None]
    others: list[float | None]


class PriorScore(Record):
    """What the prior's images score by themselves."""

    accuracy: Share
    too_close_to_public: Share
    ssim: float | None


class Attack(Record):
    """One attack or rival. Without the truth there is what it says of itself, and no score.

    Attributes:
        attack: the registered attack; not for rivals.
        kind: "attack", "baseline" or "rival".
        summary: one line.
        settings, assumptions, choices, losses: as in attack.json.
        accuracy, too_close_to_public: the paper's measure over the targets, with a game over those that are in.
        owner_named: null for one client, for rivals, and where an attack prefers nobody.
        mean: of each image metric.
        per_target: every target.
        leak: null for rivals and without a game.
        nulls: of a single federation.
        rounds: after each attacked round.
        client_ssim: null for one client.
        prior: null where the prior has no weight.
    """

    attack: str | None = None
    kind: str
    summary: str
    settings: Free
    assumptions: list[str]
    choices: Free
    losses: list[AttackLoss]
    accuracy: Share | None = None
    too_close_to_public: Share | None = None
    owner_named: Share | None = None
    mean: dict[str, float | None] | None = None
    per_target: list[PerTarget] = Field(default_factory=list)
    leak: Leak | None = None
    nulls: list[Null] = Field(default_factory=list)
    rounds: list[RoundScore] = Field(default_factory=list)
    client_ssim: ClientSSIM | None = None
    prior: PriorScore | None = None


class Metrics(Record):
    """Everything that a report reads.

    Attributes:
        format: 1.
        config, config_hash, seed: what was run.
        noun: what one label stands for.
        versions: logitleak, torch, numpy, python.
        made_by: which version made what.
        threat_model: who attacks.
        game: null without one, or without the truth.
        data: what was trained on.
        identity: who is at which client, by the audit of that name; null where models are shared, or without the truth.
        attacks: by name; rivals too.
        failed: attacks that failed, with the reason.
        resources: the most memory that was held, in MiB.
        confidence: null where nobody measured it.
        utility: null where nobody measured it.
        federation: how it went.
    """

    older: ClassVar = {"format": FORMAT, "noun": "person", "made_by": {}, "failed": {}, "resources": {}}
    remedy = "score the run again with `logitleak report RUN`"

    format: Literal[1]
    config: dict[str, Any]
    config_hash: str
    seed: int
    noun: str
    versions: dict[str, str]
    made_by: Made
    threat_model: ThreatModel
    game: Game | None
    data: Data
    identity: Result | None
    attacks: dict[str, Attack]
    failed: dict[str, str]
    resources: dict[str, int]
    confidence: Confidence | None
    utility: Utility | None
    federation: Federation
