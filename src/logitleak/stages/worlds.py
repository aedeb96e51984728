"""Stage 2, in all worlds: choose an attack's settings once, from what is public, then attack every world alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from logitleak import registry
from logitleak.attacks.base import Attack
from logitleak.attacks.views import OwnModelView, ViewOf
from logitleak.config import AttackConfig, Config
from logitleak.config.recorded import RunConfig
from logitleak.errors import UserError
from logitleak.progress import Progress
from logitleak.seeds import derive_int
from logitleak.stages.attack import attack
from logitleak.stages.folder import RunFolder, World, choose_device
from logitleak.stages.knowing import as_attacked
from logitleak.stages.lab import MockTwins, mock_twins, with_shadows
from logitleak.stages.tune import (
    NOTHING_OPEN,
    Tuned,
    keep,
    make_attack,
    open_steps,
    read_tuned,
    tune_on_mock_targets,
    tune_on_mock_twins,
    tuning_of,
)
from logitleak.types import ServerView
from logitleak.wire.transcript import Transcript

CONTROL = "own-model"
"""The folder of an attack's control, within its own."""


def attack_worlds(
    run: RunFolder,
    config: RunConfig,
    name: str,
    device: str,
    progress: Progress,
    home: Callable[[World], Path],
    priors: Path,
) -> None:
    """Attack every world of a run; nobody here knows who is in.

    Args:
        run: the run folder; only ``wire/`` of its worlds is read.
        config: the run's configuration.
        name: which of its attacks.
        device: "auto", "cpu" or "cuda".
        progress: where it reports to.
        home: where the attack's folder is, for each world.
        priors: where priors that learn keep their weights.

    Raises:
        UserError: a transcript has not what the attack needs, or is damaged.
    """
    worlds, entry = run.worlds, config.attacks[name]
    where, seed = choose_device(device), attack_seed(config.seed)
    views = [_view(Transcript(world.path), config, entry, run, world, seed, progress) for world in worlds]
    make_attack(entry, entry.settings, seed, where, priors).check(views[0])
    kept = home(worlds[0]) / "tuning.json"
    tuned = read_tuned(kept)
    how = tuning_of(entry)
    if tuned is None and how == "public":
        tuned = _tune_publicly(views[0], run, config, entry, seed, where, priors, kept, progress)
    elif tuned is None and how == "mock-targets":
        tuned = tune_on_mock_targets(views[0], entry, seed, where, priors, kept, progress)
    if tuned is not None:  # a reference that was chosen may need shadows in every world
        chosen = entry.model_copy(update={"settings": dict(tuned.settings)})
        views = [
            _view(Transcript(world.path), config, chosen, run, world, seed, progress) for world in worlds
        ]
    for number, (world, view) in enumerate(zip(worlds, views, strict=True)):
        title = name if len(worlds) == 1 else f"{name}, world {number + 1}"
        attack(view, title, entry, seed, where, home(world), priors, progress, tuned)
    if len(worlds) == 1 and own_model_is_null(Transcript(worlds[0].path)):
        out = home(worlds[0]) / CONTROL
        _control(views[0], name, entry, seed, where, out, priors, progress, tuned)


def own_model_is_null(view: Transcript) -> bool:
    """Whether the server of this federation has a model that no private image can have reached."""
    scheme = view.manifest.scheme
    known = scheme in registry.names("scheme") and "server_logits" in view.provides
    return known and bool(registry.load("scheme", scheme).own_model_is_null)


def has_control(made: Attack) -> bool:
    """Whether an attack has a use for f_0 in place of the clients: not where nobody would be left to compare with, nor
    where f_0 would be measured against itself."""
    return not made.compares_clients and getattr(made.settings, "reference", None) != "server"


def check_attack(view: Transcript, config: RunConfig, entry: AttackConfig) -> None:
    """Raise a `UserError` unless a recorded federation has what an attack needs; nothing is trained for that."""
    seen = ViewOf(view)
    if isinstance(config, Config):
        seen.provides = seen.provides | {"shadows"}
    made = make_attack(entry, entry.settings, 0, torch.device("cpu"), None)
    made.check(as_attacked(seen, entry))


def attack_seed(seed: int) -> int:
    """The seed that attacks get. Not the root seed: from that, owners and coins could be derived."""
    return derive_int(seed, "attack")


def _view(
    view: Transcript,
    config: RunConfig,
    entry: AttackConfig,
    run: RunFolder,
    world: World,
    seed: int,
    progress: Progress,
) -> ServerView:
    """What the server sees of a world: single clients or their sum, their defenses undone, and shadows where the
    attack needs them."""
    seen: ServerView = view
    needs = make_attack(entry, entry.settings, seed, torch.device("cpu"), None).needs
    if "shadows" in needs and isinstance(config, Config):
        seen = with_shadows(
            view,
            config,
            seed,
            run.lab / "shadows" / ("0" if world.path == run.path else world.path.name),
            progress,
        )
    return as_attacked(seen, entry)


def _tune_publicly(
    view: ServerView,
    run: RunFolder,
    config: RunConfig,
    entry: AttackConfig,
    seed: int,
    device: torch.device,
    priors: Path,
    kept: Path,
    progress: Progress,
) -> Tuned:
    """On mock twins, where the server knows how clients train."""
    twins: MockTwins | str = (
        "how the clients of a recorded federation train is not known, so it cannot be played again"
    )
    if isinstance(config, Config):
        steps = open_steps(entry, view.clients, config.federation.rounds)
        if not steps:  # a federation that nothing is chosen on need not be played
            return keep(kept, Tuned(dict(entry.settings), {"not tuned": NOTHING_OPEN}))
        references = {reference for step in steps for reference in step.get("reference", ())}
        shadows = "shadow" in references | {entry.settings.get("reference")}
        twins = mock_twins(view.knowledge, config, seed, run.lab, progress, shadows)
    return tune_on_mock_twins(twins, entry, seed, device, priors, kept, progress)


def _control(
    view: ServerView,
    title: str,
    entry: AttackConfig,
    seed: int,
    device: torch.device,
    out: Path,
    priors: Path,
    progress: Progress,
    tuned: Tuned | None,
) -> None:
    """The same attack on f_0 in place of the clients, where f_0 learns from the public set alone: what comes back then
    is what anybody could have guessed. Nothing where the attack has no use for a single client."""
    settings = entry.settings if tuned is None else tuned.settings
    made = make_attack(entry, settings, seed, device, priors)
    if not has_control(made):
        return
    try:
        made.check(OwnModelView(view))
    except UserError:
        return
    try:
        attack(OwnModelView(view), f"{title}, control", entry, seed, device, out, priors, progress, tuned)
    except UserError as error:
        raise UserError(
            f"The attack is finished, and its control on the server's model failed: {error}"
        ) from None
