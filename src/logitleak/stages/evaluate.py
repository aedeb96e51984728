"""Stage 3: the only place where reconstructions meet the truth."""

from __future__ import annotations

import platform
from typing import Any

import numpy as np
import torch
from torch import Tensor

from logitleak import __version__, registry
from logitleak.config import Config
from logitleak.config.recorded import RecordedConfig, RunConfig
from logitleak.errors import UserError
from logitleak.files.storage import write_json, write_tensors
from logitleak.formats import Metrics, TrainingFile
from logitleak.formats.reading import read_file
from logitleak.metrics.attack import References, number, references
from logitleak.metrics.leak import decisive, significant
from logitleak.metrics.paired import holm
from logitleak.metrics.proportion import Share, clustered
from logitleak.progress import Progress
from logitleak.sealed.files import read_game, read_truth
from logitleak.sealed.game import Game, held_images
from logitleak.sealed.truth import GroundTruth
from logitleak.stages import baselines
from logitleak.stages.aggregation import aggregation_of
from logitleak.stages.audit_truth import Truth
from logitleak.stages.folder import RunFolder
from logitleak.stages.identity import identity
from logitleak.stages.nulls import nulls
from logitleak.stages.score import describe_attack, members_of, rival, score_attack, score_prior
from logitleak.stages.threat import threat_model
from logitleak.stages.traffic import traffic
from logitleak.stages.worlds import attack_seed
from logitleak.wire.transcript import Transcript

FORMAT = 1


def evaluate(run: RunFolder, progress: Progress) -> dict[str, Any]:
    """Score every finished attack of a run and the two trivial rivals; write metrics.json and the gallery.

    Without the sealed folder there is no truth: metrics.json then says what was attacked and how, and holds
    no score.
    """
    config, names, status, worlds = run.config(), run.attacks(), run.status(), run.worlds
    view = Transcript(worlds[0].path)
    recorded = isinstance(config, RecordedConfig)
    metrics: dict[str, Any] = {
        "format": FORMAT,
        "config": config.model_dump(mode="json", exclude={"device"}),
        "config_hash": config.hash(),
        "seed": config.seed,
        "noun": config.noun,
        "versions": versions(),
        "made_by": status.get("made_by", {}),
        "game": None,
        "identity": None,
        "attacks": {},
        "failed": run.failed(),
        "resources": {"peak_memory_mib": run.peak_memory_mib()},
        "federation": {"losses": [], "ended": status.get("ended"), **traffic(view, config, status)},
    }
    if not (run.sealed / "truth.safetensors").exists():
        progress.stage("evaluation", 1)
        metrics["threat_model"] = threat_model(view, recorded)
        metrics["data"] = _describe_data(config, view, None, {}, None)
        metrics["attacks"] = {name: describe_attack(worlds[0].attack(name)) for name in names}
        metrics["confidence"], metrics["utility"] = None, None
        (run.path / "gallery.safetensors").unlink(missing_ok=True)  # it holds the truth, which was taken away
        write_json(run.path / "metrics.json", Metrics.checked(metrics))
        return metrics

    truth, game = read_truth(run.sealed), read_game(run.sealed)
    trainings = [] if recorded else [read_file(run.training(world), TrainingFile) for world in worlds]
    # a federation on tables or text has nothing that likeness could be taken of, and was not attacked
    known = references(truth, view.knowledge.public, game) if min(view.knowledge.public.image_size) else None
    _check_game(run, game, truth)
    metrics["threat_model"] = threat_model(view, recorded, held_images(truth, game))
    primary = status.get("primary") or config.headline
    one_domain = isinstance(config, Config) and config.data.one_domain
    metrics["game"] = describe_game(game, primary, view, one_domain)
    progress.stage("evaluation", len(names) * view.rounds + 2)
    if known is None:
        (run.path / "gallery.safetensors").unlink(missing_ok=True)
    else:
        metrics["attacks"], gallery = _judged(run, view, known, game, progress)
        write_tensors(run.path / "gallery.safetensors", gallery)
    if metrics["game"] is not None:
        correct_for_many(metrics["attacks"], primary, _image(game), metrics["game"]["measure"])
    progress.advance("rivals", steps=2)
    training = trainings[0] if trainings else {}
    transcripts = [view, *(Transcript(world.path) for world in worlds[1:])]
    metrics["identity"] = identity(
        transcripts, Truth.of_run(truth, game, run, view), attack_seed(config.seed)
    )
    metrics["data"] = _describe_data(config, view, truth, training, known, game)
    metrics["confidence"] = training.get("confidence")
    metrics["utility"] = pooled_utility([t["utility"] for t in trainings], len(truth.held_labels))
    if metrics["utility"] is not None:
        metrics["utility"]["baselines"] = baselines.compare(run, truth, game)
    metrics["federation"]["losses"] = training.get("losses", [])
    write_json(run.path / "metrics.json", Metrics.checked(metrics))
    return metrics


def _judged(
    run: RunFolder, view: Transcript, known: References, game: Game | None, progress: Progress
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Every attack and rival against the truth: their entries in metrics.json, and the gallery."""
    config, worlds, members = run.config(), run.worlds, members_of(game, known)
    rivals = _rivals(view, known, members)
    attacks, gallery = {}, {"truth": known.private, "public": known.public_of_targets}
    for name in run.attacks():
        folders = [world.attack(name) for world in worlds]
        prior = score_prior(folders[0], known, members)
        scored = score_attack(folders, known, game, view.rounds, progress, prior)
        # what a recording calls round 1 need not be the first
        alone = len(worlds) == 1 and not isinstance(config, RecordedConfig)
        scored.entry["nulls"] = nulls(view, folders[0], known, config.seed) if alone else []
        attacks[name] = scored.entry
        gallery |= scored.gallery
        if prior is not None and scored.entry["settings"]["prior"] != "mean":  # that one is there
            rivals[f"prior of {name}"] = prior
    return attacks | rivals, gallery


def _check_game(run: RunFolder, game: Game | None, truth: GroundTruth) -> None:
    """Raise a `UserError` where the coins are not those of this run."""
    path, worlds = run.sealed / "game.json", len(run.worlds)
    if game is None:
        if worlds > 1:
            raise UserError(
                f"{path} is missing: without it nobody can say who was in which of {worlds} worlds."
            )
        return
    if game.worlds != worlds:
        raise UserError(f"{path} is of {game.worlds} worlds, and the run has {worlds}; it is of another run.")
    if not bool(torch.isin(game.units, truth.target_labels).all()):
        raise UserError(f"{path} names people of whom the truth has no image; it is damaged.")
    if not bool(game.coins.any()) or bool(game.coins.all()):
        raise UserError(f"{path} has nobody in, or nobody out; there is nothing to compare.")


def correct_for_many(
    attacks: dict[str, dict[str, Any]], primary: str | None, image: str, measure: str
) -> None:
    """Holm's correction of the p-values of all attacks but the primary, which was named before the truth was opened.

    Args:
        attacks: their entries in metrics.json.
        primary: the one that was named.
        image: which image the game is about; of the chosen one where owners are not known.
        measure: what the verdict asks, "success" or "wins".
    """
    others = {}
    for name, entry in attacks.items():
        leak = entry["leak"]
        p = leak and decisive(leak[image] or leak["chosen"], measure)
        if name != primary and p is not None:
            others[name] = p
    for name, p in zip(others, holm(list(others.values())), strict=True):
        attacks[name]["leak"]["p_holm"] = significant(p)


def _image(game: Game | None) -> str:
    """Which image of a target a game is about. A coin about one client asks about that client; else who holds a target
    is for the attack to find out."""
    return "owner" if game is not None and game.at_client else "chosen"


def describe_game(
    game: Game | None, primary: str | None, view: Transcript, one_domain: bool
) -> dict[str, Any] | None:
    """How it was decided who is in, as it stands in metrics.json; None where nothing was."""
    if game is None:
        return None
    return {
        "design": game.design,
        "unit": game.unit,
        "worlds": game.worlds,
        "units": len(game.units),
        "in": game.coins.sum(1).tolist(),
        "primary": primary
        and {
            "attack": primary,
            "image": _image(game),
            "round": view.rounds,
        },
        "measure": "wins" if one_domain else "success",
    }


def versions() -> dict[str, str]:
    """What the numbers were computed with."""
    return {
        "logitleak": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def _rivals(view: Transcript, known: References, members: Tensor | None) -> dict[str, dict[str, Any]]:
    """Two ways to answer without attacking: what any attack must beat."""
    mean = registry.load("prior", "mean")
    prior = mean(mean.Settings(), 0).estimate(view.knowledge, known.labels)
    rivals = {"prior": rival("Returns the mean sensitive public image for everybody", prior, known, members)}
    if len(known.public_labels):  # a recorded federation may not say whom its public images show
        summary = "Returns the mean public image of the label"
        rivals["public-mean"] = rival(summary, known.public_of_targets, known, members)
    return rivals


def _describe_data(
    config: RunConfig,
    view: Transcript,
    truth: GroundTruth | None,
    training: dict[str, Any],
    known: References | None,
    game: Game | None = None,
) -> dict[str, Any]:
    public = view.knowledge.public
    once = (
        truth is not None and game is not None and game.worlds == 1
    )  # with twins everybody's images are used in turn
    used = game.used(truth, 0) if once and truth and game else None
    sensitive = int(public.sensitive.sum())
    if isinstance(config, RecordedConfig):  # what nobody said stays unsaid
        origin = {
            "recorded": True, "title": config.recorded.title, "synthetic": config.recorded.synthetic,
            "source": None, "protocol": None, "identities": None,
        }  # fmt: skip
    else:
        origin = {
            "recorded": False,
            "title": training.get("title", config.data.source),
            "synthetic": training.get("synthetic"),
            "source": config.data.source,
            "protocol": config.data.protocol,
            "identities": len(truth.names) if truth else view.knowledge.num_classes,
        }
    owned = truth is not None and bool((truth.owners >= 0).all())
    return origin | {
        "classes": view.knowledge.num_classes,
        "targets": len(view.knowledge.target_labels),
        "clients": view.parties,
        "public_sensitive": sensitive,
        "public_insensitive": len(public) - sensitive,
        "private": [len(truth.client(k, used)) for k in range(view.parties)] if truth and owned else None,
        "holdings": _holdings(truth, view.parties) if truth and owned else None,
        "held_out": len(truth.held_labels) if truth and training else None,
        "image_size": public.image_size[0],
        "skipped": training.get("skipped", []),
        "chance": number(known.chance) if known else None,
        "aggregation": aggregation_of(view),
    }


def _holdings(truth: GroundTruth, clients: int) -> list[list[int]] | None:
    """Private images of each target at each client; null where everybody is at one client only, which owners say."""
    if not truth.shared:
        return None
    return truth.holdings(clients, truth.target_labels).tolist()


def pooled_utility(worlds: list[list[dict[str, Any]]], held_out: int) -> dict[str, Any] | None:
    """Accuracy of every model on held-out images of the people that took part, pooled over the worlds."""
    if not any(worlds):  # a real server has no held-out images, and no client's model
        return None
    rounds = [_pooled([world[place] for world in worlds]) for place in range(len(worlds[0]))]
    last = rounds[-1]
    return {
        "held_out": held_out,
        "server": last["server"],
        "clients": last["clients"],
        "rounds": [
            {
                "round": row["round"],
                "server": row["server"] and number(row["server"]["value"]),
                "clients": [s and number(s["value"]) for s in row["clients"]],
            }
            for row in rounds
        ],
    }


def _pooled(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The same round in all worlds as one."""
    clients = [_pool(list(shares)) for shares in zip(*(row["clients"] for row in rows), strict=True)]
    return {"round": rows[0]["round"], "server": _pool([row["server"] for row in rows]), "clients": clients}


def _pool(shares: list[Share | None]) -> Share | None:
    counted = [one for one in shares if one is not None]
    if not counted:
        return None
    successes, trials = (sum(one[key] for one in counted) for key in ("successes", "trials"))
    return clustered(successes, trials, trials / len(counted))  # worlds share most of their held-out images
