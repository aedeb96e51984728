"""``--tune public``: choose an attack's settings on mock targets, from public data alone."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from logitleak import registry
from logitleak.attacks.base import Attack, create
from logitleak.attacks.mock import MockView, mock_labels
from logitleak.config import AttackConfig
from logitleak.metrics.attack import References, judge
from logitleak.progress import Progress
from logitleak.storage import read_json, write_json
from logitleak.truth import label_means
from logitleak.types import ServerView

log = logging.getLogger(__name__)

CLIENTS = 1
"""Mock attacks look at so many clients. Mock targets belong to none, so that every client knows them alike."""


@dataclass(frozen=True)
class Tuned:
    """What was chosen, and what it was chosen from."""

    settings: Mapping[str, Any]
    account: Mapping[str, Any]


def tune(
    view: ServerView,
    config: AttackConfig,
    seed: int,
    device: torch.device,
    priors: Path | None,
    out: Path,
    progress: Progress,
) -> Tuned:
    """Choose the settings that an attack declares `tunable`, one after the other, on mock targets.

    A candidate's score is its attack accuracy on the mock targets, and among equals their mean SSIM. Settings that
    the user gave are kept. What was chosen is written to ``tuning.json``, so that it is done once.

    Where there can be no mock targets (an unlabelled public set, fewer than ten public people) nothing is chosen,
    and the account says why.

    Args:
        view: the real server's view; nothing else is looked at.
        config: the attack with its settings as given.
        seed: the attack's seed.
        device: where attacks compute.
        priors: where priors that learn keep their weights.
        out: the attack's folder.
        progress: where it reports to.
    """
    kept = out / "tuning.json"
    if kept.exists():
        found = read_json(kept)
        return Tuned(found["settings"], found["account"])
    attack_class: type[Attack] = registry.load("attack", config.attack)
    labels = mock_labels(view, seed)
    candidates = {
        name: values for name, values in attack_class.tunable.items() if name not in config.settings
    }
    chosen: dict[str, Any] = dict(config.settings)
    account: dict[str, Any] = {"on": "mock targets: public people whose sensitive images are held out"}
    if len(labels) == 0:
        account["not tuned"] = "the public set has no labels, or too few people to hold some out"
    elif not candidates:
        account["not tuned"] = "every setting that could be was given, or the attack has none"
    else:
        mock = MockView(view, labels, CLIENTS)
        known = _references(view, mock)
        account["mock targets"] = len(labels)
        progress.stage(f"tuning {config.attack}", sum(len(values) for values in candidates.values()))
        for name, values in candidates.items():
            scores = []
            for value in values:
                progress.advance(f"{name} = {value}")
                settings = chosen | {name: value}
                made = create(
                    config.attack, settings, seed=seed, prior=config.prior,
                    prior_settings=config.prior_settings, device=device,
                )  # fmt: skip
                made.prior.home = priors
                *_, (_, result) = made.replay(mock)
                verdicts = judge(result.best, known)
                scores.append((float(verdicts.success.float().mean()), float(verdicts.ssim.mean())))
                log.info("tuning %s: %s = %s: %.3f, SSIM %.4f", config.attack, name, value, *scores[-1])
            best = max(range(len(values)), key=scores.__getitem__)
            chosen[name] = values[best]
            account[name] = [
                {"value": value, "accuracy": round(accuracy, 4), "ssim": round(ssim, 4), "chosen": i == best}
                for i, (value, (accuracy, ssim)) in enumerate(zip(values, scores, strict=True))
            ]
    write_json(kept, {"settings": chosen, "account": account})
    return Tuned(chosen, account)


def _references(view: ServerView, mock: MockView) -> References:
    """What mock reconstructions are compared with: the means of the images that were held out, and every mean
    that is left in public."""
    public, seen = view.knowledge.public.labelled(), mock.knowledge.public.labelled()
    labels, seen_labels = mock.knowledge.target_labels, torch.unique(seen.labels)
    return References(
        labels=labels,
        private=label_means(public.images[mock.hidden], public.labels[mock.hidden], labels),
        public_labels=seen_labels,
        public=label_means(seen.images, seen.labels, seen_labels),
        owners=torch.zeros_like(labels),
        names=[str(label) for label in labels.tolist()],
    )
