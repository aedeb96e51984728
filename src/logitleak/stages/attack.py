"""Stage 2: attack a transcript. This stage opens ``wire/`` and nothing else."""

from __future__ import annotations

import logging
from pathlib import Path

from logitleak.attacks.base import Attack, create
from logitleak.config import AttackConfig
from logitleak.progress import Progress
from logitleak.stages.folder import choose_device
from logitleak.storage import read_json, read_tensors, write_json, write_tensors
from logitleak.transcript import Transcript
from logitleak.types import Reconstructions, ServerView

log = logging.getLogger(__name__)


def attack(
    view: Transcript, name: str, config: AttackConfig, seed: int, device: str, out: Path, progress: Progress
) -> None:
    """Replay a transcript to one attack, and write what it rebuilds after every round.

    An interrupted attack goes on after the last round that it finished.

    Args:
        view: the transcript.
        name: how the attack is called in this run.
        config: the attack and its settings.
        seed: the root seed.
        device: "auto", "cpu" or "cuda".
        out: the attack's folder.
        progress: where it reports to.

    Raises:
        UserError: the transcript has not what the attack needs, or is damaged.
    """
    if (out / "attack.json").exists():
        return
    made = create(
        config.attack, config.settings, seed=seed, prior=config.prior,
        prior_settings=config.prior_settings, device=choose_device(device),
    )  # fmt: skip
    made.check(view)
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
        {
            "attack": config.attack,
            "prior": config.prior,
            "kind": made.kind,
            "settings": made.settings.model_dump(mode="json"),
            "needs": sorted(made.needs),
            "assumptions": list(made.assumptions),
            "choices": made.trace.choices,
            "losses": made.trace.losses,
        },
    )
    for leftover in out.glob("state-*"):
        leftover.unlink()


def _write_round(out: Path, round: int, result: Reconstructions, made: Attack, last: bool) -> None:
    """The chosen images of every round, all clients' images of the last one, and what going on needs."""
    if last:
        write_tensors(out / "final.safetensors", {"images": result.images, "labels": result.labels})
    tensors = {"images": result.best, "chosen": result.chosen, "scores": result.scores}
    trace = {"losses": made.trace.losses, "choices": made.trace.choices}
    if not last:
        write_tensors(out / f"state-{round:02d}.safetensors", made.state())
    write_tensors(out / f"round-{round:02d}.safetensors", tensors)
    write_json(out / f"state-{round:02d}.json", trace)
    for old in out.glob("state-*"):
        if old.stem != f"state-{round:02d}":
            old.unlink()


def _resume(made: Attack, view: ServerView, out: Path) -> int:
    """Take back the state after the last whole round; 0 where there is none."""
    for state in sorted(out.glob("state-*.safetensors"), reverse=True):
        round = int(state.stem.removeprefix("state-"))
        trace = state.with_suffix(".json")
        if trace.exists() and (out / f"round-{round:02d}.safetensors").exists():
            made.load_state(read_tensors(state), view)
            kept = read_json(trace)
            made.trace.losses, made.trace.choices = kept["losses"], kept["choices"]
            return round
    return 0
