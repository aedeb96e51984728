"""What a run would do, need and take: answered in about a second, without decoding an image."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from logitleak.config import Config
from logitleak.federation.bank import ModelBank
from logitleak.schemes.base import Epochs
from logitleak.stages.check import check, count_images, optimization_of, scheme_of
from logitleak.stages.folder import choose_device
from logitleak.stages.footprint import footprint, largest
from logitleak.types import MODEL_KINDS

WARM_UP, TIMED, PATIENCE = 3, 12, 2.0
"""Steps that are not timed, steps that are, and the seconds after which fewer of them have to do."""

STEP_TO_FORWARD = 3
"""A training step multiplies about three times as much as a prediction: forward, and back to inputs and weights."""


def plan(config: Config) -> Iterator[str]:
    """Lines for a person to read.

    Raises:
        UserError: what a run would stop at: unknown names or settings, missing data, numbers that do not fit.
    """
    d, f = config.data, config.federation
    survey, people, left_out = check(config)
    scheme = scheme_of(config.federation)
    public, private = count_images(config.data, survey, people)
    classes = len(people) if scheme.labelled else d.targets
    yield f"data        {d.source}: {len(people)} people, about {public} public and {private} private images"
    if left_out:
        yield f"            {left_out} people are left out, for want of images"
    yield f"federation  {f.scheme}, K = {f.clients} clients ({', '.join(f.models)}), T = {f.rounds} rounds"
    yield f"attacks     {', '.join(config.attacks) or 'none'} on {d.targets} targets"

    outputs = public * classes * 4
    weights = sum(p.numel() * 4 for p in _bank(config, classes, f.models[0]).models[0].parameters())
    upload = weights if scheme.upload_kind in MODEL_KINDS else outputs
    wire = f.rounds * ((f.clients + 1) * upload + outputs)
    memory = footprint(config, scheme, public, private, len(people))
    worlds = config.game.simulations
    if worlds > 1:
        yield f"game        twins: {worlds} worlds, in each of which half of the targets are withheld"
    elif config.game.design == "decoys":
        yield f"game        decoys: each target is withheld with probability {config.game.share:g}"
    checkpoint = _size(3 * (f.clients + 1) * weights)
    yield f"disk        about {_size(worlds * wire)} of transcript, {checkpoint} of checkpoint"
    parts = ", ".join(f"{name} {_size(memory[name])}" for name in largest(memory))
    yield f"memory      about {_size(max(memory.values()))} at most: {parts}"
    learnt = images_learnt(config, scheme.planned_epochs(f.clients, f.rounds), public, private)
    predicted = worlds * f.rounds * (f.clients + 1) * public
    pace = _seconds_per_image(config, classes)
    seconds = (learnt + predicted / STEP_TO_FORWARD) * pace
    yield f"time        about {_duration(seconds)} for the federation here{' (all worlds)' if worlds > 1 else ''}"


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
    in_each_world = (
        epochs.public * public + epochs.private * private * taking_part / config.federation.clients
    )
    return once + g.simulations * in_each_world


def _bank(config: Config, classes: int, model: str) -> ModelBank:
    f, side = config.federation, config.data.image_size
    optimization = optimization_of(f, scheme_of(f))
    device = choose_device(config.device)
    return ModelBank(model, (side, side), classes, [0], optimization, 0, device)


def _seconds_per_image(config: Config, classes: int) -> float:
    """The median training step, by image, of each client's architecture; their mean."""
    f, side = config.federation, config.data.image_size
    noise = torch.Generator().manual_seed(0)  # of black images half of the activations would be zero
    images = torch.randint(0, 256, (f.batch, 3, side, side), dtype=torch.uint8, generator=noise)
    labels = torch.randint(0, classes, (f.batch,), generator=noise)
    names = f.models[: f.clients]
    return sum(_median_step(_bank(config, classes, name), images, labels) for name in names) / (
        len(names) * f.batch
    )


def _median_step(bank: ModelBank, images: Tensor, labels: Tensor) -> float:
    """Seconds. The first steps are left out: they set up memory and moments, and took up to eight times as long."""
    taken: list[float] = []
    while len(taken) < WARM_UP + 3 or (len(taken) < WARM_UP + TIMED and sum(taken) < PATIENCE):
        start = time.perf_counter()
        bank.fit([images], [labels], F.cross_entropy, 1, ("timing",))
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[WARM_UP:])


def _size(count: float) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{max(1, round(count / 2**20))} MiB"


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{max(1, round(seconds))} s"
