"""What a run would do, need and take: answered in about a second, without decoding an image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from logitleak.config import Config
from logitleak.defenses.draws import System
from logitleak.machine.forecast import FLOAT
from logitleak.stages.attack_pace import AttackTime, foretell_attacks
from logitleak.stages.check import Checked, check
from logitleak.stages.footprint import footprint, largest
from logitleak.stages.pace import beside_clients, duration, foretell, one_model, pace_of
from logitleak.stages.shields import form_of, make_defense, who
from logitleak.text import plural
from logitleak.types import MODEL_KINDS


@dataclass(frozen=True)
class PlannedData:
    """What the data are: numbers of people and, about, of images.

    Attributes:
        left_out: people that are left out, for want of images.
        noun: what they are called.
    """

    source: str
    people: int
    left_out: int
    public_images: int
    private_images: int
    targets: int
    noun: str


@dataclass(frozen=True)
class PlannedFederation:
    """Who takes part; ``drawn`` is how many clients do in each round, ``models`` are the architectures that are dealt
    out to them."""

    scheme: str
    clients: int
    drawn: int
    rounds: int
    models: list[str]


@dataclass(frozen=True)
class PlannedGame:
    """How it is decided who is in; ``share`` is that of targets that decoys withhold."""

    design: str
    worlds: int
    share: float | None


@dataclass(frozen=True)
class PlannedDefense:
    """What some clients do against leaks; ``guarantee`` is for the public images that there are, about."""

    name: str
    clients: Literal["all"] | list[int]
    guarantee: str


@dataclass(frozen=True)
class PlannedAggregation:
    """What hides single uploads; ``sent`` are the bytes that each client sends in a round, about."""

    kind: str
    sent: int


@dataclass(frozen=True)
class PlannedDisk:
    """Bytes: of all transcripts, and of the checkpoint of one federation."""

    transcript: int
    checkpoint: int


@dataclass(frozen=True)
class PlannedMemory:
    """Bytes: the most that any stage holds, and what each does."""

    most: int
    stages: dict[str, int]


@dataclass(frozen=True)
class Plan:
    """What a run would do, need and take.

    Attributes:
        aggregation: what hides single uploads; None where each is seen.
        attacks: registered attacks, by their names in the run.
        defenses: in their order.
        seconds: what the federation takes here, in all worlds.
        attack_seconds: what each attack takes, by its name in the run.
    """

    data: PlannedData
    federation: PlannedFederation
    aggregation: PlannedAggregation | None
    game: PlannedGame
    attacks: dict[str, str]
    defenses: list[PlannedDefense]
    disk: PlannedDisk
    memory: PlannedMemory
    seconds: float
    attack_seconds: dict[str, AttackTime]

    def lines(self) -> Iterator[str]:
        """The same for a person to read."""
        d, f, g = self.data, self.federation, self.game
        yield (
            f"data        {d.source}: {d.people} {plural(d.noun)}, about {d.public_images} public and "
            f"{d.private_images} private images"
        )
        if d.left_out:
            yield f"            {d.left_out} {plural(d.noun)} are left out, for want of images"
        models = ", ".join(f.models)
        drawn = f", {f.drawn} of {f.clients} clients a round" if f.drawn < f.clients else ""
        yield f"federation  {f.scheme}, K = {f.clients} clients ({models}), T = {f.rounds} rounds{drawn}"
        if self.aggregation is not None:
            yield (
                f"aggregation {self.aggregation.kind}: the mean of the uploads is seen, and no single one; about "
                f"{self.aggregation.sent:,} bytes from each client in a round; guarantee: none"
            )
        yield f"attacks     {', '.join(self.attacks) or 'none'} on {d.targets} targets"
        if g.worlds > 1:
            yield f"game        twins: {g.worlds} worlds, in each of which half of the targets are withheld"
        elif g.share is not None:
            yield f"game        decoys: each target is withheld with probability {g.share:g}"
        for defense in self.defenses:
            yield f"defense     {defense.name}, {who(defense.clients)}; guarantee: {defense.guarantee}"
        disk, stages = self.disk, self.memory.stages
        yield f"disk        about {_size(disk.transcript)} of transcript, {_size(disk.checkpoint)} of checkpoint"
        parts = ", ".join(f"{name} {_size(stages[name])}" for name in largest(stages))
        yield f"memory      about {_size(self.memory.most)} at most: {parts}"
        worlds = " (all worlds)" if g.worlds > 1 else ""
        yield f"time        about {duration(self.seconds)} for the federation here{worlds}"
        for name, taken in self.attack_seconds.items():
            yield f"            {name} {taken.said}"


def plan(config: Config) -> Plan:
    """Find out what a run would do, need and take.

    Raises:
        UserError: what a run would stop at: unknown names or settings, missing data, numbers that do not fit.
    """
    d, f, g = config.data, config.federation, config.game
    found = check(config)
    size = found.sizes
    outputs = size.public * size.classes * FLOAT
    weights = _weights(config, size.classes, f.models[0])
    upload = weights if found.scheme.upload_kind in MODEL_KINDS else outputs
    recorded = f.drawn if found.hiding is None else 1
    wire = f.rounds * ((recorded + 1) * upload + outputs)
    memory = footprint(config, found.scheme, size, found.hiding)
    models = f.clients + 1 + beside_clients(config)
    beside = sum(_weights(config, size.classes, name) for name in found.scheme.beside)
    pace = pace_of(config, found)
    return Plan(
        data=PlannedData(
            d.source, size.people, found.left_out, size.public, size.private, size.targets, config.noun
        ),
        federation=PlannedFederation(f.scheme, f.clients, f.drawn, f.rounds, f.models),
        aggregation=_aggregation(f.aggregation.kind, found, size.public * size.classes),
        game=PlannedGame(g.design, g.simulations, g.share if g.design == "decoys" else None),
        attacks={name: entry.attack for name, entry in config.attacks.items()},
        defenses=[
            PlannedDefense(
                entry.name,
                entry.clients,
                make_defense(entry, form_of(found.scheme.upload_kind), System()).guarantee(
                    size.public, f.rounds
                ),
            )
            for entry in config.defenses
        ],
        disk=PlannedDisk(g.simulations * wire, 3 * (models * weights + f.clients * beside)),
        memory=PlannedMemory(max(memory.values()), memory),
        seconds=foretell(config, found, pace),
        attack_seconds=foretell_attacks(config, found, pace),
    )


def _aggregation(kind: str, found: Checked, values: int) -> PlannedAggregation | None:
    return None if found.hiding is None else PlannedAggregation(kind, found.hiding.nbytes(values))


def _weights(config: Config, classes: int, model: str) -> int:
    """Bytes of a model's parameters."""
    return sum(p.numel() * FLOAT for p in one_model(config, classes, model).models[0].parameters())


def _size(count: float) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{max(1, round(count / 2**20))} MiB"
