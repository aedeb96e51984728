"""Stage 1: simulate the federation, once for every world of the game, and write down what travelled."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import torch

from logitleak.config import Config
from logitleak.data.split import prepare
from logitleak.errors import UserError
from logitleak.federation.memo import Memo
from logitleak.files.storage import read_tensors, write_json, write_tensors
from logitleak.formats import TrainingFile
from logitleak.progress import Progress
from logitleak.sealed import game as games
from logitleak.sealed.files import read_game, read_truth, write_game, write_truth
from logitleak.sealed.game import Game
from logitleak.sealed.truth import GroundTruth, Split, unlabelled
from logitleak.stages.banks import scheme_of
from logitleak.stages.baselines import train_baselines
from logitleak.stages.candidates import draw_candidates, read_replies
from logitleak.stages.folder import RunFolder, World
from logitleak.stages.simulation import Simulation, last_checkpoint
from logitleak.stages.traffic import weights_of

log = logging.getLogger(__name__)


def federate(config: Config, run: RunFolder, progress: Progress) -> None:
    """Run all rounds of the configured scheme in every world, from the last finished round on.

    Writes ``wire/`` of every world, and ``sealed/``. After every round the models are kept in ``checkpoint/``, so a
    killed run goes on from there and ends with the same transcripts.

    Raises:
        UserError: the data or the configuration do not allow this federation, or the folder holds a real one.
    """
    run.refuse_deployed()
    if run.status().get("federated"):
        shutil.rmtree(run.memo, ignore_errors=True)  # killed just before it was
        _check_replies(config, run)
        if not config.baselines or run.baselines.exists():
            check_images(config, run)
        else:
            split = _seen(config, prepare(config.data, config.federation.clients, config.seed).split)
            if not _same_data(run.worlds[0].wire, read_truth(run.sealed), split):
                raise _changed(run)
            train_baselines(config, run, split, read_game(run.sealed), progress)
        return
    progress.stage("data", 1)
    prepared = prepare(config.data, config.federation.clients, config.seed)
    log.info(
        "data: %s, %d public, %d private images",
        prepared.title,
        len(prepared.split.public),
        len(prepared.split.truth.labels),
    )
    split = _seen(config, prepared.split)
    game = draw(config, split.truth)
    worlds = run.plan_worlds(config.game.simulations)
    _begin(run, worlds, split, game)
    memo = Memo(run.memo, split.public) if len(worlds) > 1 else None
    facts = {
        "title": prepared.title,
        "synthetic": prepared.synthetic,
        "skipped": [{"path": s.path, "reason": s.reason} for s in prepared.skipped],
    }
    for number, world in enumerate(worlds):
        if run.training(world).exists():
            shutil.rmtree(world.checkpoint, ignore_errors=True)  # killed just before it was
            continue
        name = "federation" if len(worlds) == 1 else f"world {number + 1} of {len(worlds)}"
        _simulate(config, run, number, world, split, game, facts, memo, name, progress)
    train_baselines(config, run, split, game, progress)
    weights = weights_of(config.federation, split.public.image_size, split.num_classes)
    run.update(federated=True, weights=weights)
    shutil.rmtree(run.memo, ignore_errors=True)


def _check_replies(config: Config, run: RunFolder) -> None:
    """Raise a `UserError` where a finished federation did not keep what clients would say of these candidates: it
    cannot be asked later."""
    if not config.candidates:
        return
    game = read_game(run.sealed)
    found = draw_candidates(read_truth(run.sealed), game, config.candidates, config.seed)
    kept = read_replies(run.replies(run.worlds[0]), config.federation.rounds)
    if found is not None and (not kept or any(said.shape[1] != len(found) for said in kept.values())):
        raise UserError(
            f"{run.path} was simulated without what clients say of {len(found)} candidates, and they cannot be asked "
            "later; choose another --out, or leave out candidates."
        )


def draw(config: Config, truth: GroundTruth) -> Game | None:
    """Throw the coins of the configured game; None where everybody takes part.

    Raises:
        UserError: the targets are too few for it.
    """
    g = config.game
    if g.design == "none":
        return None
    units = truth.target_labels
    strata = torch.tensor([truth.owner_of(unit) for unit in units.tolist()])
    rows = games.one_image_each(truth, units, strata, config.seed) if g.unit == "image" else None
    shared = truth.shared or g.unit == "image"
    if g.design == "twins":
        return games.twins(units, strata, g.worlds, config.seed, g.unit, rows, shared)
    return games.decoys(units, strata, g.share, config.seed, g.unit, rows, shared)


def _simulate(
    config: Config,
    run: RunFolder,
    number: int,
    world: World,
    split: Split,
    game: Game | None,
    facts: dict[str, object],
    memo: Memo | None,
    name: str,
    progress: Progress,
) -> None:
    """All rounds of one world, and what is to be known of its training; it is finished when that is written."""
    truth = split.truth
    used = None if game is None else game.used(truth, number)
    held = None if game is None else game.known(truth.held_labels, number)
    everywhere = game is not None and game.rows is not None  # else candidates are images of the first world
    candidates = None
    if config.candidates and (number == 0 or everywhere):
        candidates = draw_candidates(truth, game, config.candidates, config.seed)
    asked = None if candidates is None else (candidates.images, run.replies(world))
    simulation = Simulation(config, world, split, used, held, progress, memo, name, number, asked)
    simulation.go_on()
    if number == 0:
        write_tensors(run.predicted, simulation.predicted())
    write_json(
        run.training(world),
        TrainingFile.checked(
            facts
            | {
                "losses": simulation.losses,
                "utility": simulation.utility,
                "confidence": simulation.confidence(),
            }
        ),
    )
    shutil.rmtree(world.checkpoint, ignore_errors=True)


def _begin(run: RunFolder, worlds: list[World], split: Split, game: Game | None) -> None:
    """Write the truth and the coins, unless there is something to go on from: then see that they are the same."""
    started = [world for world in worlds if last_checkpoint(world) >= 0]
    finished = [world for world in worlds if run.training(world).exists()]
    if not started and not finished:
        for stale in (run.sealed, run.memo, run.path / "wire", run.path / "worlds"):
            shutil.rmtree(stale, ignore_errors=True)
        write_truth(run.sealed, split.truth)
        if game is not None:
            write_game(run.sealed, game)
        return
    kept = read_game(run.sealed)
    same_coins = kept is None if game is None else kept is not None and torch.equal(kept.coins, game.coins)
    if not (same_coins and _same_data([*started, *finished][0].wire, read_truth(run.sealed), split)):
        raise _changed(run)


def check_images(config: Config, run: RunFolder) -> None:
    """See whether a finished federation was of the images that its folder of images now holds. People that the tool
    makes itself are not made again for that, and without the truth nothing can be compared.

    Raises:
        UserError: it was of others.
    """
    if config.data.root is None or not run.sealed.is_dir():
        return
    split = _seen(config, prepare(config.data, config.federation.clients, config.seed).split)
    if not _same_data(run.worlds[0].wire, read_truth(run.sealed), split):
        raise _changed(run)


def _changed(run: RunFolder) -> UserError:
    return UserError(
        f"The images have changed since {run.path} was begun; delete it, or choose another --out."
    )


def _seen(config: Config, split: Split) -> Split:
    """The split as the scheme has it: with labels in public, or without."""
    return split if scheme_of(config.federation).labelled else unlabelled(split)


def _same_data(wire: Path, truth: GroundTruth, split: Split) -> bool:
    """Whether a started run holds just these public and private images."""
    kept = read_tensors(wire / "public.safetensors")["images"]
    return all(
        torch.equal(a, b)
        for a, b in (
            (kept, split.public.images),
            (truth.images, split.truth.images),
            (truth.labels, split.truth.labels),
            (truth.owners, split.truth.owners),
        )
    )
