"""Stage 2, in one world: attack a transcript. This stage opens ``wire/`` and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import torch

from logitleak.attacks.base import Attack
from logitleak.attacks.undone import undoes
from logitleak.config import AttackConfig
from logitleak.errors import UserError
from logitleak.files.storage import read_json, read_tensors, write_json, write_tensors
from logitleak.formats import AttackFile
from logitleak.progress import Progress
from logitleak.stages.tune import Tuned, make_attack, tuning_of
from logitleak.types import Reconstructions, ServerView

log = logging.getLogger(__name__)


def attack(
    view: ServerView,
    name: str,
    config: AttackConfig,
    seed: int,
    device: torch.device,
    out: Path,
    priors: Path,
    progress: Progress,
    tuned: Tuned | None = None,
) -> None:
    """Replay a transcript to one attack, and write what it rebuilds after every round.

    An interrupted attack goes on after the last round that it finished.

    Args:
        view: what the server sees of one world.
        name: how the attack is called in this run.
        config: the attack and its settings.
        seed: the attack's seed; see `worlds.attack_seed`.
        device: where it computes.
        out: the attack's folder.
        priors: where priors that learn keep their weights; attacks on the same public set share them.
        progress: where it reports to.
        tuned: settings that were chosen beforehand; None for those of the configuration.

    Raises:
        UserError: the transcript has not what the attack needs, or is damaged.
    """
    if (out / "attack.json").exists():
        return
    made = make_attack(config, config.settings if tuned is None else tuned.settings, seed, device, priors)
    made.check(view)
    if tuned is not None:
        made.trace.choices["tuned on public data"] = dict(tuned.account)
    _prepare_prior(made, view, config.prior, out, progress)
    done = _resume(made, view, out)
    planned = made.steps_planned(view)
    progress.stage(f"attack {name}", planned * view.rounds)
    progress.advance(steps=done * planned)
    made.listener = lambda round, client, step, loss: progress.advance(
        f"round {round} of {view.rounds}, client {client}, step {step}"
    )
    for round, result in made.replay(view, after=done):
        _write_round(out, round, result, made, last=round == view.rounds)
        log.info("attack %s: round %d of %d", name, round, view.rounds)
    write_json(
        out / "attack.json",
        AttackFile.checked(
            {
                "attack": config.attack,
                "prior": config.prior if made.uses_prior else None,
                "prior_settings": made.prior.settings.model_dump(mode="json") if made.uses_prior else None,
                "tune": tuning_of(config),
                "view": config.view,
                "uploads": config.uploads,
                "kind": made.kind,
                "compares_clients": made.compares_clients,
                "settings": made.settings.model_dump(mode="json"),
                "needs": sorted(made.needs),
                "assumptions": [*made.assumptions, *_assumed(view, config, tuned)],
                "choices": made.trace.choices,
                "losses": made.trace.losses,
            }
        ),
    )
    for leftover in out.glob("state-*"):
        leftover.unlink()


def _assumed(view: ServerView, config: AttackConfig, tuned: Tuned | None) -> Iterator[str]:
    """What the configuration supposes beyond the attack itself, in sentences."""
    if config.view == "sum":
        yield "The server sees the mean of all uploads only, as behind a secure sum."
    if undoes(view):
        yield "The server knows which defenses clients use, and undoes what can be undone of them."
    if tuning_of(config) == "public" and tuned is not None and "not tuned" not in tuned.account:
        yield "The server knows how clients train, and plays a small federation of its own to choose settings."
        if "partition" in tuned.account:
            yield "It knows, too, in which way private images are divided among clients, and what a coin is about."


def _prepare_prior(made: Attack, view: ServerView, name: str, out: Path, progress: Progress) -> None:
    """Have the prior learn, and keep its image of every target; nothing where the attack has no use for one."""
    if not made.uses_prior:
        return
    if made.prior.learns:
        progress.stage(f"prior {name}", made.prior.steps_planned(view.knowledge))
        made.prior.listener = lambda step, loss: progress.advance(f"step {step}, loss {loss:.4f}")
        made.prior.prepare(view.knowledge)
    images = made.prior.estimate(view.knowledge, view.knowledge.target_labels)
    kept = images.mul(255).round().to(torch.uint8)
    write_tensors(out / "prior.safetensors", {"images": kept, "labels": view.knowledge.target_labels})


def _write_round(out: Path, round: int, result: Reconstructions, made: Attack, last: bool) -> None:
    """The chosen images and all clients' images of every round, the last one's in full precision, and what going on
    needs."""
    if last:
        write_tensors(out / "final.safetensors", {"images": result.images, "labels": result.labels})
    tensors = {"images": result.best, "chosen": result.chosen, "scores": result.scores}
    if (
        len(result.images) > 1
    ):  # evaluation asks what came back from a target's owner; an attacker does not know it
        tensors["clients"] = result.images.to(torch.float16)
    trace = {"losses": made.trace.losses, "choices": made.trace.choices}
    if not last:
        write_tensors(out / f"state-{round:02d}.safetensors", made.state())
    write_tensors(out / f"round-{round:02d}.safetensors", tensors)
    write_json(out / f"state-{round:02d}.json", trace)
    for old in out.glob("state-*"):
        if old.stem != f"state-{round:02d}":
            old.unlink()


def _resume(made: Attack, view: ServerView, out: Path) -> int:
    """Take back the state after the last whole round; 0 where there is none.

    Raises:
        UserError: it is of another form than this version's.
    """
    states = {int(file.stem.removeprefix("state-")): file for file in out.glob("state-*.safetensors")}
    for round, state in sorted(states.items(), reverse=True):
        trace = state.with_suffix(".json")
        if trace.exists() and (out / f"round-{round:02d}.safetensors").exists():
            try:
                made.load_state(read_tensors(state), view)
            except KeyError as error:  # versions in between two releases have one number
                raise UserError(
                    f"{state} was left by another version of Logitleak: it holds no {error}; delete {out} to begin "
                    "this attack anew."
                ) from None
            kept = read_json(trace)
            made.trace.losses, made.trace.choices = kept["losses"], kept["choices"]
            return round
    return 0
