"""What a run would do, need and take: answered in about a second, without decoding an image."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch
import torch.nn.functional as F

from logitleak.bank import ModelBank
from logitleak.config import Config
from logitleak.stages.check import check, count_images, optimization_of, scheme_of
from logitleak.stages.folder import choose_device
from logitleak.stages.footprint import footprint, largest
from logitleak.types import MODEL_KINDS


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
    epochs = scheme.planned_epochs(f.clients, f.rounds)
    images = epochs * (public + private / f.clients) / 2  # about half of the epochs are on the public set
    seconds = worlds * images * _seconds_per_image(config, classes)
    yield f"time        about {_duration(seconds)} for the federation here{' (all worlds)' if worlds > 1 else ''}"


def _bank(config: Config, classes: int, model: str) -> ModelBank:
    f, side = config.federation, config.data.image_size
    optimization = optimization_of(f, scheme_of(f))
    device = choose_device(config.device)
    return ModelBank(model, (side, side), classes, [0], optimization, 0, device)


def _seconds_per_image(config: Config, classes: int) -> float:
    """One training step of the first architecture, timed after a warm-up."""
    batch, side = config.federation.batch, config.data.image_size
    bank = _bank(config, classes, config.federation.models[0])
    images = torch.zeros(batch, 3, side, side, dtype=torch.uint8)
    labels = torch.zeros(batch, dtype=torch.int64)
    bank.fit([images], [labels], F.cross_entropy, 1, ("warm-up",))
    start = time.perf_counter()
    bank.fit([images], [labels], F.cross_entropy, 2, ("timing",))
    return (time.perf_counter() - start) / (2 * batch)


def _size(count: float) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{max(1, round(count / 2**20))} MiB"


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{max(1, round(seconds))} s"
