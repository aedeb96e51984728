"""The sections of a run's configuration: what each may hold. `config` joins and checks them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from logitleak.choices import Reading, Tuning, View
from logitleak.strict import Strict


class Section(Strict):
    """A part of a configuration: nothing unknown in it, and nothing that changes."""


def _expanded(path: Any) -> Any:
    return os.path.expanduser(os.path.expandvars(path)) if isinstance(path, str) else path


def _kind(aggregation: Any) -> Any:
    return {"kind": aggregation} if isinstance(aggregation, str) else aggregation


def _who(clients: Any) -> Any:
    listed = isinstance(clients, list) and clients and all(type(one) is int and one >= 0 for one in clients)
    if clients != "all" and not listed:
        raise ValueError('write "all", or a list of client numbers such as [0, 2]')
    return clients


class DataConfig(Section):
    """What the private and public images are, and how they are divided.

    Attributes:
        source: a registered data source; ``settings`` are its own.
        root: the data set's folder; null for what ships with the tool. ``~`` and environment variables such as
            ``$LFW`` are put in.
        image_size: side of the square images in pixels.
        protocol: "domain-pair" (LAG, LFW: one domain of the targets is private, the other public),
            "half-degraded" (FaceScrub, AT&T: half of each person's images are degraded and public), or "one-domain"
            (no second domain: all classes are private, and the public set is other images, of these classes or others).
        degradation: makes the insensitive domain where the source has none; required by "half-degraded".
        identities: how many people, those with most images first; null for all.
        min_images: people with fewer sensitive images are left out.
        max_images: at most so many images of a person in each domain; null for all.
        targets: how many people are private; with "one-domain" all classes are.
        held_out: share of each person's sensitive images kept back for measuring utility.
        disjoint: with a degradation and "domain-pair": a target's public images come from other photos than
            the private ones.
        clean_public: with "half-degraded": images of non-targets all stay clean.
        labelled: whether the public set comes with labels; false leaves the schemes that need none (DS-FL,
            which never looks at them).
        partition: how private images are divided among clients, a registered partition; "identity" is the paper's.
            ``partition_settings`` are its own.
        public_share: with "one-domain", and a source that has no public set of its own: the share of each class's
            images that is public.
    """

    source: str = "synthetic"
    settings: dict[str, Any] = Field(default_factory=dict)
    root: Annotated[Path | None, BeforeValidator(_expanded)] = None
    image_size: int = Field(default=64, ge=16, le=256)
    protocol: Literal["domain-pair", "half-degraded", "one-domain"] = "domain-pair"
    degradation: str | None = None
    degradation_settings: dict[str, Any] = Field(default_factory=dict)
    identities: PositiveInt | None = None
    min_images: PositiveInt = 1
    max_images: PositiveInt | None = None
    targets: PositiveInt = 20
    held_out: float = Field(default=0.1, ge=0, le=0.5)
    disjoint: bool = False
    clean_public: bool = False
    labelled: bool = True
    partition: str = "identity"
    partition_settings: dict[str, Any] = Field(default_factory=dict)
    public_share: float = Field(default=0.2, gt=0, lt=1)

    @property
    def one_domain(self) -> bool:
        """Whether public and private images are of one kind."""
        return self.protocol == "one-domain"

    @property
    def private_copies(self) -> bool:
        """Whether degraded copies of the very images that are private are public, as in the paper's LFW. There are none
        of held-out images."""
        return self.protocol == "domain-pair" and self.degradation is not None and not self.disjoint


class AggregationConfig(Section):
    """What the server sees of the uploads that it averages; the kind alone may stand for all of it.

    Attributes:
        kind: a registered aggregator; "plain" shows every upload. ``settings`` are its own.
    """

    kind: str = "plain"
    settings: dict[str, Any] = Field(default_factory=dict)


class FederationConfig(Section):
    """Who takes part, and how everybody trains.

    Attributes:
        scheme: a registered scheme; ``settings`` are its own.
        clients: K.
        rounds: T.
        models: architectures of the clients, dealt out in turn: registered names, or ``module:function`` for a
            model of one's own.
        server_model: the architecture of f_0.
        lr, weight_decay, batch: mini-batch Adam of every classifier.
        precision: "float32", or "bf16" to train classifiers with products in bfloat16.
        minimum_clients: how many clients must answer validly in every exchange; the federation goes on without the
            others, and ends where fewer are left. Null: all in a simulation, one in a deployment.
        aggregation: what the server sees of uploads; by default every single one.
        participation: the share of clients that are drawn anew for each round, at least one; the others neither learn
            nor send nor receive anything in it. What comes before round 1 everybody does.
    """

    scheme: str = "fedmd"
    settings: dict[str, Any] = Field(default_factory=dict)
    clients: PositiveInt = 1
    rounds: PositiveInt = 5
    models: list[str] = Field(default=["cnn"], min_length=1)
    server_model: str = "cnn"
    lr: PositiveFloat = 1e-3
    weight_decay: float = Field(default=1e-4, ge=0)
    batch: PositiveInt = 64
    precision: Literal["float32", "bf16"] = "float32"
    minimum_clients: PositiveInt | None = None
    aggregation: Annotated[AggregationConfig, BeforeValidator(_kind)] = AggregationConfig()
    participation: float = Field(default=1.0, gt=0, le=1)

    @model_serializer(mode="wrap")
    def _aggregated(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = write(self)
        if self.aggregation == AggregationConfig():  # such runs are what they were before there were others
            values.pop("aggregation", None)
        if self.participation == 1:
            values.pop("participation", None)
        return values

    @property
    def drawn(self) -> int:
        """How many clients take part in a round."""
        return max(1, round(self.participation * self.clients))

    def model_of(self, client: int) -> str:
        """The architecture of a client."""
        return self.models[client % len(self.models)]


class GameConfig(Section):
    """Who takes part, so that what private images change can be told from what anybody can guess.

    Attributes:
        design: "twins": the federation runs in several worlds, and every target takes part in half of them. "decoys":
            it runs once, and some targets are withheld. "none": everybody takes part, and no leak can be told.
        unit: what one coin decides about. "person": all images of a person. "person-at-client": those that one of the
            person's clients holds, while the others keep theirs. "image": one image of a person at one client.
        worlds: with "twins": how many worlds, an even number; more than two narrow the interval.
        share: with "decoys": the probability that a target is withheld.
    """

    design: Literal["none", "twins", "decoys"] = "none"
    unit: Literal["person", "person-at-client", "image"] = "person"
    worlds: PositiveInt = Field(default=2, multiple_of=2)
    share: float = Field(default=0.5, gt=0, lt=1)

    @property
    def simulations(self) -> int:
        """How often the federation runs."""
        return self.worlds if self.design == "twins" else 1


class DefenseConfig(Section):
    """What some clients do to their outputs before these leave them, or while they learn their private images; an entry
    may be a name alone.

    Attributes:
        name: a registered defense; ``settings`` are its own.
        clients: "all", or a list of client numbers, counted from 0.
    """

    name: str
    settings: dict[str, Any] = Field(default_factory=dict)
    clients: Annotated[
        Literal["all"] | Annotated[list[NonNegativeInt], Field(min_length=1)], BeforeValidator(_who)
    ] = "all"

    def acts_at(self, client: int) -> bool:
        """Whether this client has it."""
        return self.clients == "all" or client in self.clients


class AttackConfig(Section):
    """One attack; an entry of ``attacks`` may be called anything.

    Attributes:
        attack: a registered attack.
        settings: its own settings.
        prior: a registered prior; ``prior_settings`` are its own.
        tune: how settings that are not given are chosen, from public data alone. "public": by what they leak on mock
            twins, a federation that the server plays by itself. "mock-targets": by the paper's attack accuracy on
            public people who are held out. "none" leaves the defaults. Null: "public" for attacks that are tuned by
            default (`gap`, `ridge`) where the user gave none of what could be chosen, "none" for the others.
        view: "clients": the server sees each client's upload. "sum": it sees their mean only, as behind a secure sum.
        uploads: "undone": the attacker knows which defenses clients use, and undoes what can be undone of them.
            "as-sent": it reads uploads as they came. Without defenses both are the same.
    """

    attack: str
    settings: dict[str, Any] = Field(default_factory=dict)
    prior: str = "mean"
    prior_settings: dict[str, Any] = Field(default_factory=dict)
    tune: Tuning | None = None
    view: View = "clients"
    uploads: Reading = "undone"

    @model_serializer(mode="wrap")
    def _read(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = write(self)
        if values.get("uploads") == "undone":  # attacks from before there was a choice stay what they are
            values.pop("uploads")
        return values
