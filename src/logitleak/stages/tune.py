"""Choosing an attack's settings from public data alone, before anything is attacked.

``tune: public`` chooses by what leaks on mock twins: public people who were in in one world of a federation that the
server played by itself, and out in the other. ``tune: mock-targets`` chooses by the paper's attack accuracy on public
people who are held out of the real transcript; that rewards what anybody can guess, too.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from logitleak import registry
from logitleak.attacks.base import Attack, create
from logitleak.attacks.mock import MockView, mock_labels
from logitleak.choices import Tuning
from logitleak.config import AttackConfig
from logitleak.errors import UserError
from logitleak.files.storage import read_json, write_json
from logitleak.metrics.attack import References, judge
from logitleak.metrics.leak import compare
from logitleak.progress import Progress
from logitleak.sealed.truth import label_means
from logitleak.stages.knowing import as_attacked
from logitleak.stages.lab import MockTwins
from logitleak.types import Reconstructions, ServerView

log = logging.getLogger(__name__)

CLIENTS = 1
"""Attacks on mock targets look at so many clients. Mock targets belong to none, so every client knows them alike."""

LEAST_SIDE = 24
"""Images of mock targets are not made smaller than this for comparing."""

SOFTNESS = 0.02
"""SSIM by which a mock target passes or fails, or wins or loses, before it counts as wholly so."""

NOTHING_OPEN = "every setting that could be was given, or the attack has none"

Scorer = Callable[[Mapping[str, Any]], tuple[float, dict[str, float]]]
"""From settings to a score, the larger the better, and what to say of it."""


@dataclass(frozen=True)
class Tuned:
    """What was chosen, and what it was chosen from."""

    settings: Mapping[str, Any]
    account: Mapping[str, Any]


def make_attack(
    config: AttackConfig, settings: Mapping[str, Any], seed: int, device: torch.device, priors: Path | None
) -> Attack:
    """The configured attack with these settings in place of the configured ones."""
    return create(
        config.attack,
        settings,
        seed=seed,
        prior=config.prior,
        prior_settings=config.prior_settings,
        device=device,
        home=priors,
    )


def tune_on_mock_twins(
    twins: MockTwins | str,
    config: AttackConfig,
    seed: int,
    device: torch.device,
    priors: Path | None,
    kept: Path,
    progress: Progress,
) -> Tuned:
    """Choose by what the verdict on such a game asks: success in minus success out, or how often the image is more like
    the truth in than out where likeness decides; of the chosen images, or of the asked client's where a coin is about
    one client. Both are softened by `SOFTNESS`: a few dozen mock targets that just pass or just fail would decide by
    chance.

    Args:
        twins: the mock federation, or why there is none: then nothing is chosen, and the account says why.
        config: the attack with its settings as given.
        seed: the attack's seed.
        device: where attacks compute.
        priors: where priors that learn keep their weights.
        kept: the file that keeps what was chosen, so that it is done once.
        progress: where it reports to.
    """
    account: dict[str, Any] = {
        "on": "mock twins: public people who were in and out of the server's own federation"
    }
    if isinstance(twins, str):
        return keep(kept, Tuned(dict(config.settings), account | {"not tuned": twins}))
    account |= {"mock targets": len(twins.game.units), "clients": twins.clients, "rounds": twins.rounds}
    account |= _unlike_the_paper(twins)
    views = [as_attacked(view, config) for view in twins.views]
    known = replace(twins.known, private=_halved(twins.known.private), public=_halved(twins.known.public))

    def score(settings: Mapping[str, Any]) -> tuple[float, dict[str, float]]:
        results = [make_attack(config, settings, seed, device, priors).last(view) for view in views]
        verdicts = [judge(_halved(_asked(result, twins)), known) for result in results]
        ssim, coins = torch.stack([v.ssim for v in verdicts]), twins.game.coins
        found = compare(torch.stack([v.success for v in verdicts]), ssim, twins.game)
        said = {"leak": found["leak"]["value"]}
        if twins.measure == "wins":
            won = torch.where(coins[0], ssim[0] - ssim[1], ssim[1] - ssim[0])
            softened = float(torch.sigmoid(won / SOFTNESS).mean())
            count = found["wins"]
            # a tie says nothing either way
            said = {"wins": (count["successes"] + count["ties"] / 2) / len(won)}
        else:
            soft = torch.sigmoid(torch.stack([v.ssim - v.ssim_rival for v in verdicts]) / SOFTNESS)
            softened = float(soft[coins].mean() - soft[~coins].mean())
        said |= {"softened": softened, "out": found["out"]["value"]}
        return softened, said | {"ssim": found["ssim"]["difference"]}

    return _choose(config, score, views[0].clients, twins.rounds, account, kept, progress)


def _unlike_the_paper(twins: MockTwins) -> dict[str, Any]:
    """What the report says of mock twins in which not everybody is at one client and a coin about one person."""
    said = {"partition": twins.partition, "unit": twins.game.unit, "measure": twins.measure}
    usual = {"partition": "identity", "unit": "person", "measure": "success"}
    return {} if said == usual else said


def _asked(result: Reconstructions, twins: MockTwins) -> Tensor:
    """The images that a mock game asks for, float32 [T, 3, H, W]: those of the clients that coins are about, where they
    are about clients and these are told apart; else the chosen ones."""
    if twins.game.at_client and len(result.images) > 1:
        return result.images[twins.known.owners, torch.arange(len(twins.known.owners))]
    return result.best


def tune_on_mock_targets(
    view: ServerView,
    config: AttackConfig,
    seed: int,
    device: torch.device,
    priors: Path | None,
    kept: Path,
    progress: Progress,
) -> Tuned:
    """Choose by attack accuracy on mock targets, and among equals by their mean SSIM.

    Where there can be no mock targets (an unlabelled public set, fewer than ten public people) nothing is chosen,
    and the account says why. The arguments are those of `tune_on_mock_twins`, with the real server's view in place of
    the twins.
    """
    account: dict[str, Any] = {"on": "mock targets: public people whose sensitive images are held out"}
    labels = mock_labels(view, seed)
    if len(labels) == 0:
        why = "the public set has no labels, or too few people to hold some out"
        return keep(kept, Tuned(dict(config.settings), account | {"not tuned": why}))
    heard = [
        k
        for k in range(view.clients)
        if any(len(view.client_logits(k, t)[0]) for t in range(1, view.rounds + 1))
    ]
    if not heard:
        why = "no client answered in any round"
        return keep(kept, Tuned(dict(config.settings), account | {"not tuned": why}))
    mock = MockView(view, labels, heard[:CLIENTS])
    known = _references(view, mock)
    account["mock targets"] = len(labels)

    def score(settings: Mapping[str, Any]) -> tuple[float, dict[str, float]]:
        verdicts = judge(make_attack(config, settings, seed, device, priors).last(mock).best, known)
        accuracy, likeness = float(verdicts.success.float().mean()), float(verdicts.ssim.mean())
        # a person more is worth more than any likeness
        return accuracy + likeness / (2 * len(labels)), {"accuracy": accuracy, "ssim": likeness}

    return _choose(config, score, mock.clients, view.rounds, account, kept, progress)


def read_tuned(kept: Path) -> Tuned | None:
    """What was chosen before; None where nothing was."""
    if not kept.exists():
        return None
    found = read_json(kept)
    return Tuned(found["settings"], found["account"])


def tuning_of(config: AttackConfig) -> Tuning:
    """How an attack's settings are chosen: as the configuration says; where it says nothing, on mock twins for attacks
    that are tuned by default, unless the user chose some of what could be chosen."""
    if config.tune is not None:
        return config.tune
    attack_class: type[Attack] = registry.load("attack", config.attack)
    choosable = {name for clients in (1, 2) for step in attack_class.choices(clients, 2) for name in step}
    given = (choosable | {"tune"}) & set(config.settings)
    return "public" if attack_class.tuned_by_default and not given else "none"


def open_steps(config: AttackConfig, clients: int, rounds: int) -> list[dict[str, Sequence[Any]]]:
    """The steps of choice of an attack (see `Attack.tunable`), without the settings that the user gave."""
    attack_class: type[Attack] = registry.load("attack", config.attack)
    steps = attack_class.choices(clients, rounds)
    left = [{name: step[name] for name in step if name not in config.settings} for step in steps]
    return [step for step in left if step]


def _choose(
    config: AttackConfig,
    score: Scorer,
    clients: int,
    rounds: int,
    account: dict[str, Any],
    kept: Path,
    progress: Progress,
) -> Tuned:
    """Go through the steps of choice; settings that the user gave are kept."""
    steps = [
        (list(step), list(itertools.product(*step.values()))) for step in open_steps(config, clients, rounds)
    ]
    if not steps:
        account["not tuned"] = NOTHING_OPEN
    chosen: dict[str, Any] = dict(config.settings)
    progress.stage(f"tuning {config.attack}", sum(len(values) for _, values in steps))
    for names, candidates in steps:
        scores, said = [], []
        for values in candidates:
            candidate = dict(zip(names, values, strict=True))
            progress.advance(", ".join(f"{name} = {value}" for name, value in candidate.items()))
            try:
                value, words = score(chosen | candidate)
            except UserError as error:  # what cannot be done here is no candidate
                log.info("tuning %s: %s: %s", config.attack, candidate, error)
                value, words = float("nan"), {}
            scores.append(value)
            said.append({name: round(number, 4) for name, number in words.items()})
            log.info("tuning %s: %s: %s", config.attack, candidate, said[-1])
        best = _best(scores)
        chosen |= dict(zip(names, candidates[best], strict=True))
        account[" and ".join(names)] = [
            {"value": values[0] if len(values) == 1 else list(values), **words, "chosen": i == best}
            for i, (values, words) in enumerate(zip(candidates, said, strict=True))
        ]
    return keep(kept, Tuned(chosen, account))


def _halved(images: Tensor) -> Tensor:
    """Images [n, 3, H, W] at half their size where that leaves enough of them: dozens of candidates are compared, and
    comparing costs four times less."""
    return F.avg_pool2d(images, 2) if min(images.shape[-2:]) >= 2 * LEAST_SIDE else images


def _best(scores: Sequence[float]) -> int:
    """The place of the largest score, the first among equals; one that is no number is never chosen before one that
    is."""
    return max(range(len(scores)), key=lambda i: -torch.inf if scores[i] != scores[i] else scores[i])


def keep(kept: Path, tuned: Tuned) -> Tuned:
    """Write down what was chosen, so that it is chosen once."""
    write_json(kept, {"settings": dict(tuned.settings), "account": dict(tuned.account)})
    return tuned


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
