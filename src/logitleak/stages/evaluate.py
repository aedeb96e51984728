"""Stage 3: the only place where reconstructions meet the truth."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from logitleak import __version__, registry
from logitleak.attacks.selection import select
from logitleak.metrics.attack import References, judge, number, references, summarize
from logitleak.metrics.proportion import share
from logitleak.metrics.ssim import mean_ssim_to_others
from logitleak.progress import Progress
from logitleak.recorded import RecordedConfig, RunConfig
from logitleak.sealed import read_truth
from logitleak.stages.folder import RunFolder
from logitleak.stages.threat import threat_model
from logitleak.stages.traffic import traffic
from logitleak.storage import read_json, read_tensors, write_json, write_tensors
from logitleak.transcript import Transcript
from logitleak.truth import GroundTruth
from logitleak.types import Reconstructions

FORMAT = 1


def evaluate(run: RunFolder, progress: Progress) -> dict[str, Any]:
    """Score every finished attack of a run and the two trivial rivals; write metrics.json and the gallery.

    Without the sealed folder there is no truth: metrics.json then says what was attacked and how, and holds
    no score.
    """
    config, view, names, status = run.config(), Transcript(run.path), run.attacks(), run.status()
    recorded = isinstance(config, RecordedConfig)
    metrics: dict[str, Any] = {
        "format": FORMAT,
        "config": config.model_dump(mode="json", exclude={"device"}),
        "config_hash": config.hash(),
        "seed": config.seed,
        "versions": versions(),
        "threat_model": threat_model(view, recorded),
        "attacks": {},
        "resources": {"peak_memory_mib": run.peak_memory_mib()},
        "federation": {"losses": [], "ended": status.get("ended"), **traffic(view, config, status)},
    }
    if not (run.sealed / "truth.safetensors").exists():
        progress.stage("evaluation", 1)
        metrics["data"] = _describe_data(config, view, None, {}, None)
        metrics["attacks"] = {name: _describe_attack(run.attack(name)) for name in names}
        metrics["confidence"], metrics["utility"] = None, None
        (run.path / "gallery.safetensors").unlink(missing_ok=True)  # it holds the truth, which was taken away
        write_json(run.path / "metrics.json", metrics)
        return metrics

    truth = read_truth(run.sealed)
    training = {} if recorded else read_json(run.sealed / "training.json")
    known = references(truth, view.knowledge.public)
    progress.stage("evaluation", len(names) * view.rounds + 2)
    rivals = _rivals(view, known)
    for name in names:
        folder = run.attack(name)
        prior = score_prior(folder, known)
        metrics["attacks"][name] = score_attack(folder, known, view.rounds, progress, prior)
        if prior is not None and metrics["attacks"][name]["settings"]["prior"] != "mean":  # that one is there
            rivals[f"prior of {name}"] = prior
    progress.advance("rivals", steps=2)
    metrics["attacks"] |= rivals
    metrics["data"] = _describe_data(config, view, truth, training, known)
    metrics["confidence"] = training.get("confidence")
    metrics["utility"] = _utility(training["utility"], len(truth.held_labels)) if training else None
    metrics["federation"]["losses"] = training.get("losses", [])
    gallery = {"truth": known.private, "public": known.public_of_targets}
    write_tensors(run.path / "gallery.safetensors", gallery)
    write_json(run.path / "metrics.json", metrics)
    return metrics


def versions() -> dict[str, str]:
    """What the numbers were computed with."""
    return {
        "logitleak": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def score_attack(
    folder: Path, known: References, rounds: int, progress: Progress, prior: Mapping[str, Any] | None
) -> dict[str, Any]:
    """A finished attack's folder against the truth: its entry of metrics.json.

    Args:
        folder: the attack's folder.
        known: what reconstructions are compared with.
        rounds: T.
        progress: where it reports to.
        prior: what `score_prior` says of this folder.
    """
    images = read_tensors(folder / "final.safetensors")["images"]
    by_round = []
    for round in range(1, rounds + 1):
        tensors = read_tensors(folder / f"round-{round:02d}.safetensors")
        verdicts = judge(tensors["images"], known)
        by_round.append(
            {
                "round": round,
                "accuracy": share(verdicts.success.tolist()),
                "too_close_to_public": share(verdicts.too_close.tolist()),
                "ssim": number(verdicts.ssim.mean()),
            }
        )
        progress.advance(f"{folder.name}, round {round}")
    result = Reconstructions(images, known.labels, tensors["chosen"], tensors["scores"])
    scored = _describe_attack(folder) | summarize(result, verdicts, known)
    scored["rounds"] = by_round
    scored["client_ssim"] = _client_ssim(images, known.owners)
    scored["prior"] = prior and {
        "accuracy": prior["accuracy"],
        "too_close_to_public": prior["too_close_to_public"],
        "ssim": prior["mean"]["ssim"],
    }
    return scored


def score_prior(folder: Path, known: References) -> dict[str, Any] | None:
    """What the prior's images of the targets would score by themselves, without any upload: an attack that does not
    beat its own prior learnt nothing from the clients. A rival's entry of metrics.json; None where the attack of
    this folder used no prior."""
    file = folder / "prior.safetensors"
    if not file.exists():
        return None
    used = read_json(folder / "attack.json")["prior"]
    images = read_tensors(file)["images"].to(torch.float32).div(255)
    return _rival(f"Returns the {used} prior of each label, which {folder.name} starts from", images, known)


def _describe_attack(folder: Path) -> dict[str, Any]:
    """What an attack says of itself."""
    said = read_json(folder / "attack.json")
    return {
        "attack": said["attack"],
        "kind": said["kind"],
        "summary": registry.TABLES["attack"][said["attack"]].summary,
        "settings": said["settings"] | {key: said[key] for key in ("prior", "prior_settings", "tune")},
        "assumptions": said["assumptions"],
        "choices": said["choices"],
        "losses": [row | {"loss": number(row["loss"])} for row in said["losses"]],
    }


def _client_ssim(images: Tensor, owners: Tensor) -> dict[str, list[float | None]] | None:
    """Fig. 4: how like the other clients' reconstructions those of owners and of others are."""
    if len(images) < 2 or bool((owners < 0).any()):
        return None
    similarity = mean_ssim_to_others(images)
    owns = torch.arange(len(images))[:, None] == owners[None]
    return {
        "owner": [number(value) for value in similarity[owns]],
        "others": [number(value) for value in similarity[~owns]],
    }


def _rivals(view: Transcript, known: References) -> dict[str, dict[str, Any]]:
    """Two ways to answer without attacking: what any attack must beat."""
    mean = registry.load("prior", "mean")
    prior = mean(mean.Settings(), 0).estimate(view.knowledge, known.labels)
    rivals = {"prior": _rival("Returns the mean sensitive public image for everybody", prior, known)}
    if len(known.public_labels):  # a recorded federation may not say whom its public images show
        summary = "Returns the mean public image of the label"
        rivals["public-mean"] = _rival(summary, known.public_of_targets, known)
    return rivals


def _rival(summary: str, images: Tensor, known: References) -> dict[str, Any]:
    """The entry of metrics.json of who answers with these images [T, 3, H, W]."""
    result = select(images[None], known.labels, beta=0.0)
    return summarize(result, judge(images, known), known) | {
        "kind": "rival", "summary": summary, "rounds": [], "client_ssim": None,
        "losses": [], "choices": {}, "settings": {}, "assumptions": [],
    }  # fmt: skip


def _describe_data(
    config: RunConfig,
    view: Transcript,
    truth: GroundTruth | None,
    training: dict[str, Any],
    known: References | None,
) -> dict[str, Any]:
    public = view.knowledge.public
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
        "clients": view.clients,
        "public_sensitive": sensitive,
        "public_insensitive": len(public) - sensitive,
        "private": [len(truth.client(k)) for k in range(view.clients)] if truth and owned else None,
        "held_out": len(truth.held_labels) if truth and training else None,
        "image_size": public.image_size[0],
        "skipped": training.get("skipped", []),
        "chance": number(known.chance) if known else None,
    }


def _utility(by_round: list[dict[str, Any]], held_out: int) -> dict[str, Any] | None:
    if not by_round:  # a real server has no held-out images, and no client's model
        return None
    last = by_round[-1]
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
            for row in by_round
        ],
    }
