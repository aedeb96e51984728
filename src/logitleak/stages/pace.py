"""How fast this machine trains the models of a configuration, and so how long its federation takes here."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from logitleak import registry
from logitleak.config import Config, DefenseConfig
from logitleak.defenses.draws import System
from logitleak.defenses.training import Schedule, TrainingDefense
from logitleak.federation.bank import ModelBank
from logitleak.federation.draws import planned
from logitleak.federation.trainer import Trainer
from logitleak.machine.forecast import Work
from logitleak.schemes.base import Epochs
from logitleak.stages.banks import bank_of
from logitleak.stages.baselines import of_one_client, rounds_of_one
from logitleak.stages.check import Checked
from logitleak.stages.folder import choose_device
from logitleak.stages.footprint import scale_of
from logitleak.stages.shields import companies, form_of, make_defense
from logitleak.types import ClientData

WARM_UP, TIMED, PATIENCE = 3, 12, 2.0
"""Steps that are not timed, steps that are, and the seconds after which fewer of them have to do."""

HURRIED = 1.5
"""The seconds for all architectures, where somebody waits for a run to begin."""

TRIES = 5
"""How often a piece of work is timed after it was done once."""

STEP_TO_FORWARD = 3
"""A training step multiplies about three times as much as a prediction: forward, and back to inputs and weights."""


@dataclass(frozen=True)
class Pace:
    """Seconds for each image that a model learns from.

    Attributes:
        own: by a client's own model.
        beside: by all that it trains beside.
        led: how much longer a private image takes where a defense makes steps of its own (dp-sgd), as the mean over
            clients.
        outside: what somebody who is no client takes in a round, in each world; of no image.
    """

    own: float
    beside: float
    led: float = 0.0
    outside: float = 0.0


def pace_of(config: Config, found: Checked, hurry: bool = False) -> Pace:
    """Time a few training steps of every architecture.

    Args:
        config: the run's.
        found: what `check` found of it.
        hurry: take two seconds or so, even where steps are slow, for numbers that are less certain.
    """
    classes = found.sizes.classes
    own = _seconds_per_image(config, classes, hurry)
    beside = sum(_seconds_per_image(config, classes, hurry, name) for name in found.scheme.beside)
    outside = _outside(config, found, own, hurry)
    return Pace(own, beside, _led(config, found, own, hurry), outside)


def foretell(config: Config, found: Checked, pace: Pace) -> float:
    """About how many seconds the federation takes here, in all worlds.

    Args:
        config: the run's.
        found: what `check` found of it.
        pace: as `pace_of` found it.
    """
    f, size = config.federation, found.sizes
    epochs = planned(found.scheme, f.clients, f.rounds, f.drawn)
    learnt = images_learnt(config, epochs, size.public, size.private)
    if config.baselines:
        one = of_one_client(found.scheme, rounds_of_one(f))
        learnt += (f.clients + 1) * one.labels * size.public + 2 * one.private * size.private
    worlds, beside = config.game.simulations, beside_clients(config)
    if beside:  # they learn the public set as their clients do, in each world
        one = of_one_client(found.scheme, rounds_of_one(f))
        learnt += worlds * beside * (one.labels + one.public) * size.public
        learnt += worlds * _taught(config) * one.private * size.private / f.clients
    predicted = worlds * f.rounds * (f.drawn + 1 + beside * f.drawn / f.clients) * size.public
    private = worlds * _private_learnt(config, epochs, size.private)
    of_clients = (learnt + predicted / STEP_TO_FORWARD) * pace.own + learnt * pace.beside + private * pace.led
    return of_clients + worlds * f.rounds * pace.outside


def beside_clients(config: Config) -> int:
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
    once = epochs.labels * public
    in_each_world = (epochs.public + epochs.joint) * public + _private_learnt(config, epochs, private)
    return once + config.game.simulations * in_each_world


def _private_learnt(config: Config, epochs: Epochs, private: int) -> float:
    """The same of private images, in each world."""
    g = config.game
    taking_part = 0.5 if g.design == "twins" else 1 - g.share if g.design == "decoys" else 1.0
    return (epochs.private + epochs.joint) * private * taking_part / config.federation.clients


def one_model(config: Config, classes: int, model: str) -> ModelBank:
    """One client of an architecture as a configuration trains it, in a bank of its own."""
    f, side = config.federation, config.data.image_size
    return bank_of(f, model, [0], (side, side), classes, 0, choose_device(config.device))


def _seconds_per_image(config: Config, classes: int, hurry: bool, model: str | None = None) -> float:
    """The median training step, by image, of each client's architecture, or of a given one; their mean."""
    f = config.federation
    images, labels = _noise(config, classes)
    names = f.models[: f.clients] if model is None else [model]
    timed = list(dict.fromkeys(names))
    patience, least = (HURRIED / len(timed), 1) if hurry else (PATIENCE, WARM_UP + 3)
    steps = {
        name: median_step(one_model(config, classes, name), images, labels, patience, least) for name in timed
    }
    return sum(steps[name] for name in names) / (len(names) * f.batch)


def _led(config: Config, found: Checked, own: float, hurry: bool) -> float:
    """See `Pace.led`: a step of every defense that makes its own is timed."""
    f, known, longer = config.federation, dict[tuple[int, str], float](), 0.0
    for client in range(f.clients):
        for place, entry in enumerate(config.defenses):
            kind, name = registry.load("defense", entry.name), f.model_of(client)
            if not (entry.acts_at(client) and issubclass(kind, TrainingDefense) and kind.alone):
                continue
            if (place, name) not in known:
                step = _led_step(config, found, entry, name)
                known[place, name] = seconds_of(step, HURRIED / 2 if hurry else PATIENCE) / f.batch
            longer += known[place, name] - own
    return longer / f.clients


def _led_step(config: Config, found: Checked, entry: DefenseConfig, model: str) -> Work:
    """A batch of noise, learnt once as a defense has it; of each person there are as many images as there will be."""
    f, size = config.federation, found.sizes
    kind = registry.load("defense", entry.name)
    entry = entry.model_copy(update={"settings": entry.settings | dict(kind.rehearsed)})
    defense = make_defense(entry, form_of(found.scheme.upload_kind), System())
    assert isinstance(defense, TrainingDefense)
    defense.schedule = Schedule(epochs=2 * TRIES, batch=f.batch)
    images, _ = _noise(config, size.classes)
    labels = torch.arange(f.batch) // max(1, size.private // size.targets) % size.classes

    @cache
    def made() -> tuple[Trainer, ModelBank]:
        return Trainer([defense]), one_model(config, size.classes, model)

    def once() -> None:
        trainer, bank = made()
        trainer.fit(bank, ClientData(images, labels), 1, "timing", 1, lambda epoch, loss: None)

    return Work(entry.name, once, 1)


def _outside(config: Config, found: Checked, own: float, hurry: bool) -> float:
    """See `Pace.outside`."""
    classes, device = found.sizes.classes, choose_device(config.device)

    def model() -> nn.Module:
        return one_model(config, classes, config.federation.server_model).models[0]

    scale = scale_of(config, found.sizes)
    images, pieces = found.scheme.outside_work(scale, model, device)
    patience = HURRIED / 2 if hurry else PATIENCE
    seconds = images * own + sum(piece.times * seconds_of(piece, patience) for piece in pieces)
    return seconds / config.federation.rounds


def _noise(config: Config, classes: int) -> tuple[Tensor, Tensor]:
    """A batch of images and labels. Of black images half of the activations would be zero."""
    batch, side = config.federation.batch, config.data.image_size
    drawn = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (batch, 3, side, side), dtype=torch.uint8, generator=drawn)
    return images, torch.randint(0, classes, (batch,), generator=drawn)


def median_step(
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


def seconds_of(piece: Work, patience: float) -> float:
    """The median of several times that a piece of work takes, the first left out: it makes what is worked on. Once that
    and another took longer than patience allows, that has to do."""
    taken: list[float] = []
    while len(taken) < 2 or (len(taken) <= TRIES and sum(taken) < patience):
        start = time.perf_counter()
        piece.once()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])


def duration(seconds: float) -> str:
    """Such as "40 s" or "3 min"."""
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{max(1, round(seconds))} s"
