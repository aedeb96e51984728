"""The memory that a run will need, from sizes alone: no image is decoded and no network is given numbers.

Stages follow each other in one process, so what counts is the largest of them. Counted is what grows with the
configuration: images, weights with their moments and gradients, what a training step keeps for its backward pass,
uploads, inputs and Gram matrices, priors, and the images that are compared. Not counted are a library's own working
space and what malloc keeps in between, for which a fifth is added. docs/performance.md compares it with what runs held.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from logitleak import registry
from logitleak.aggregation.base import Hiding
from logitleak.attacks.base import create
from logitleak.config import AttackConfig, Config
from logitleak.data.selection import Sizes
from logitleak.federation.batches import PREDICTED
from logitleak.machine import forecast
from logitleak.machine.forecast import FLOAT, Scale
from logitleak.models import own
from logitleak.schemes.base import Scheme
from logitleak.stages.shields import companies
from logitleak.types import MODEL_KINDS

PROCESS = 400 << 20
"""Python, and torch with what it imports to train, with nothing to do (measured on Linux)."""

SLACK = 1.2

_UNDONE = 10
"""So many times an upload is held while its defenses are undone: about five copies in float64."""


def footprint(config: Config, scheme: Scheme, size: Sizes, hiding: Hiding | None = None) -> dict[str, int]:
    """Bytes by stage, of which the largest is what the run needs at most; each includes the process and the data.

    Args:
        config: the run's.
        scheme: its scheme.
        size: how much there is of everything.
        hiding: what hides single uploads; None where each is seen.

    Raises:
        UserError: a model of the user's own cannot be built.
    """
    d, f, public, private = config.data, config.federation, size.public, size.private
    names = {*f.models, f.server_model, *scheme.beside}
    made = {name: model_of(name, d.image_size, size.classes) for name in names}
    scale = scale_of(config, size)
    shown = scale if hiding is None else _behind_a_sum(scale)
    data = 3 * (public + private) * scale.image // FLOAT  # decoded, divided, and as it travels
    sealed = 0 if hiding is None else f.drawn * hiding.nbytes(public * size.classes)
    stages = {"federation": _federation(config, scheme, scale, made) + sealed}
    for name, entry in config.attacks.items():
        attack = create(entry.attack, entry.settings, prior=entry.prior, prior_settings=entry.prior_settings)
        seen = seen_by(entry, scale, hiding)
        prior = attack.prior.memory(seen) if attack.uses_prior else 0
        stages[name] = attack.memory(seen) + prior + _undoing(config, entry) * seen.outputs
    stages["evaluation"] = _evaluation(shown, config.game.simulations, len(config.attacks))
    return {name: round((PROCESS + data + size) * SLACK) for name, size in stages.items()}


def scale_of(config: Config, size: Sizes) -> Scale:
    """How large a federation is.

    Raises:
        UserError: a model of the user's own cannot be built.
    """
    d, f = config.data, config.federation
    return Scale(
        public=size.public,
        sensitive=size.public // 2 if d.protocol == "domain-pair" else size.public,
        side=d.image_size,
        classes=size.classes,
        clients=f.clients,
        rounds=f.rounds,
        targets=size.targets,
        people=size.people,
        model=max(forecast.weights(model_of(name, d.image_size, size.classes)) for name in f.models),
        network=f.models[0],
    )


def seen_by(entry: AttackConfig, scale: Scale, hiding: Hiding | None) -> Scale:
    """The same as an attack sees it: one client where their sum alone is seen."""
    return scale if hiding is None and entry.view == "clients" else _behind_a_sum(scale)


def _undoing(config: Config, entry: AttackConfig) -> int:
    """How often an upload is held while its defenses are undone; 0 where none are."""
    undone = any(registry.load("defense", defense.name).undoing for defense in config.defenses)
    return _UNDONE if undone and entry.uploads == "undone" else 0


def model_of(name: str, side: int, classes: int) -> nn.Module:
    """A classifier with shapes; numbers it has only where it is the user's own."""
    if registry.is_own(name):
        return own.build(name, (side, side), classes, seed=0)
    return forecast.bare(lambda: registry.load("model", name)((side, side), classes))


def _federation(config: Config, scheme: Scheme, scale: Scale, models: dict[str, nn.Module]) -> int:
    f, shape = config.federation, (3, scale.side, scale.side)
    copies = 3 if scheme.optimizer == "adam" else 1  # weights and two moments
    names = [*(f.model_of(k) for k in range(f.clients)), f.server_model]
    names += [
        f.model_of(k)
        for k in range(f.clients)
        for company in companies(config.defenses, k)
        for _ in range(company.models)
    ]
    held = sum(copies * forecast.weights(models[name]) for name in names)
    held += f.clients * sum(3 * forecast.weights(models[name]) for name in scheme.beside)  # theirs is Adam
    step = max(forecast.step(model, max(2, f.batch), *shape) for model in models.values())
    step += sum(forecast.step(models[name], max(2, f.batch), *shape) for name in scheme.beside)  # at once
    # a forward pass alone holds two maps at a time, never all
    asked = max(forecast.step(model, min(PREDICTED, scale.public), *shape) for model in models.values()) // 2
    outside = scheme.outside_memory(scale, models[f.server_model])
    shares_models = scheme.upload_kind in MODEL_KINDS
    upload = scale.model if shares_models else scale.outputs
    uploads = (scheme.uploads_at_once * f.drawn + 2) * upload + scale.outputs
    return held + max(step, asked) + uploads + outside


def _evaluation(scale: Scale, worlds: int, attacks: int) -> int:
    """Reconstructions of a round in all worlds, those of every client after the last, and references with moments."""
    every = scale.targets * scale.image
    compared = 6 * (scale.targets + scale.people) * scale.image + 6 * every
    rounds = worlds * every * (2 + scale.clients)
    gallery = attacks * scale.rounds * 2 * every // FLOAT
    return compared + rounds + 2 * worlds * scale.clients * every + gallery


def _behind_a_sum(scale: Scale) -> Scale:
    return replace(scale, clients=1)


def largest(stages: dict[str, int], shown: int = 3) -> Sequence[str]:
    """The names of the stages that need most, largest first."""
    return sorted(stages, key=lambda name: -stages[name])[:shown]
