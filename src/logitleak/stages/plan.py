"""What a run would do, need and take: answered in about a second, without decoding an image."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from logitleak.config import Config
from logitleak.defenses.draws import System
from logitleak.federation.bank import ModelBank
from logitleak.machine.forecast import FLOAT
from logitleak.schemes.base import Epochs
from logitleak.stages.banks import bank_of
from logitleak.stages.baselines import of_one_client
from logitleak.stages.check import Checked, check
from logitleak.stages.folder import choose_device
from logitleak.stages.footprint import footprint, largest
from logitleak.stages.shields import companies, form_of, make_defense, who
from logitleak.text import plural
from logitleak.types import MODEL_KINDS

WARM_UP, TIMED, PATIENCE = 3, 12, 2.0
"""Steps that are not timed, steps that are, and the seconds after which fewer of them have to do."""

HURRIED = 1.5
"""The seconds for all architectures, where somebody waits for a run to begin."""

STEP_TO_FORWARD = 3
"""A training step multiplies about three times as much as a prediction: forward, and back to inputs and weights."""


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
    """Who takes part; ``models`` are the architectures that are dealt out to clients."""

    scheme: str
    clients: int
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
        yield f"federation  {f.scheme}, K = {f.clients} clients ({models}), T = {f.rounds} rounds"
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
    recorded = f.clients if found.hiding is None else 1
    wire = f.rounds * ((recorded + 1) * upload + outputs)
    memory = footprint(config, found.scheme, size, found.hiding)
    models = f.clients + 1 + _beside(config)
    beside = sum(_weights(config, size.classes, name) for name in found.scheme.beside)
    return Plan(
        data=PlannedData(
            d.source, size.people, found.left_out, size.public, size.private, size.targets, config.noun
        ),
        federation=PlannedFederation(f.scheme, f.clients, f.rounds, f.models),
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
        seconds=foretell(config, found),
    )


def _aggregation(kind: str, found: Checked, values: int) -> PlannedAggregation | None:
    return None if found.hiding is None else PlannedAggregation(kind, found.hiding.nbytes(values))


def foretell(config: Config, found: Checked, hurry: bool = False) -> float:
    """About how many seconds the federation takes here, in all worlds: a few training steps are timed.

    Args:
        config: the run's.
        found: what `check` found of it.
        hurry: take two seconds or so, even where steps are slow, for a number that is less certain.
    """
    f, size = config.federation, found.sizes
    learnt = images_learnt(
        config, found.scheme.planned_epochs(f.clients, f.rounds), size.public, size.private
    )
    if config.baselines:
        one = of_one_client(found.scheme, f.rounds)
        learnt += (f.clients + 1) * one.labels * size.public + 2 * one.private * size.private
    worlds, beside = config.game.simulations, _beside(config)
    if beside:  # they learn the public set as their clients do, in each world
        one = of_one_client(found.scheme, f.rounds)
        learnt += worlds * beside * (one.labels + one.public) * size.public
        learnt += worlds * _taught(config) * one.private * size.private / f.clients
    predicted = worlds * f.rounds * (f.clients + 1 + beside) * size.public
    own = _seconds_per_image(config, size.classes, hurry)
    taught = learnt * sum(
        _seconds_per_image(config, size.classes, hurry, name) for name in found.scheme.beside
    )
    return (learnt + predicted / STEP_TO_FORWARD) * own + taught


def _beside(config: Config) -> int:
    """How many more models defenses train."""
    clients = range(config.federation.clients)
    return sum(company.models for client in clients for company in companies(config.defenses, client))


def _taught(config: Config) -> int:
    """How often a client's private images are learnt once more, divided among teachers."""
    clients = range(config.federation.clients)
    return sum(company.teachers > 0 for client in clients for company in companies(config.defenses, client))


def images_learnt(config: Config, epochs: Epochs, public: int, private: int) -> float:
    """How many images all models learn from, one counted as often as it is shown.

    Args:
        config: the run's.
        epochs: what the scheme plans.
        public, private: how many images there are.
    """
    g = config.game
    taking_part = 0.5 if g.design == "twins" else 1 - g.share if g.design == "decoys" else 1.0
    once = epochs.labels * public
    of_private = (epochs.private + epochs.joint) * private * taking_part / config.federation.clients
    in_each_world = (epochs.public + epochs.joint) * public + of_private
    return once + g.simulations * in_each_world


def _weights(config: Config, classes: int, model: str) -> int:
    """Bytes of a model's parameters."""
    return sum(p.numel() * FLOAT for p in _bank(config, classes, model).models[0].parameters())


def _bank(config: Config, classes: int, model: str) -> ModelBank:
    f, side = config.federation, config.data.image_size
    return bank_of(f, model, [0], (side, side), classes, 0, choose_device(config.device))


def _seconds_per_image(config: Config, classes: int, hurry: bool, model: str | None = None) -> float:
    """The median training step, by image, of each client's architecture, or of a given one; their mean."""
    f, side = config.federation, config.data.image_size
    noise = torch.Generator().manual_seed(0)  # of black images half of the activations would be zero
    images = torch.randint(0, 256, (f.batch, 3, side, side), dtype=torch.uint8, generator=noise)
    labels = torch.randint(0, classes, (f.batch,), generator=noise)
    names = f.models[: f.clients] if model is None else [model]
    timed = list(dict.fromkeys(names))
    patience, least = (HURRIED / len(timed), 1) if hurry else (PATIENCE, WARM_UP + 3)
    steps = {
        name: _median_step(_bank(config, classes, name), images, labels, patience, least) for name in timed
    }
    return sum(steps[name] for name in names) / (len(names) * f.batch)


def _median_step(
    bank: ModelBank, images: Tensor, labels: Tensor, patience: float = PATIENCE, least: int = WARM_UP + 3
) -> float:
    """Seconds. The first steps are left out: they set up memory and moments, and took up to eight times as long. Where
    there was no time for more of them, the last one counts.

    Args:
        bank: one model.
        images, labels: a batch.
        patience: seconds after which no step is begun.
        least: how many steps are taken all the same.
    """
    bank.fit([images[:2]], [labels[:2]], F.cross_entropy, 1, ("timing",))  # torch imports what it trains with
    taken: list[float] = []
    while len(taken) < least or (len(taken) < WARM_UP + TIMED and sum(taken) < patience):
        start = time.perf_counter()
        bank.fit([images], [labels], F.cross_entropy, 1, ("timing",))
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[WARM_UP:] or taken[-1:])


def _size(count: float) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{max(1, round(count / 2**20))} MiB"


def duration(seconds: float) -> str:
    """Such as "40 s" or "3 min"."""
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{max(1, round(seconds))} s"
