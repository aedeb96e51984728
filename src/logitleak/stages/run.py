"""A whole run, and an attack on what an earlier one recorded."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from logitleak import config as configs
from logitleak import report
from logitleak.attacks.base import create
from logitleak.choices import Reading
from logitleak.config import AttackConfig, Config
from logitleak.config.recorded import RunConfig
from logitleak.errors import UserError
from logitleak.files.atomic import clean
from logitleak.files.lock import alone
from logitleak.machine.memory import is_out_of_memory
from logitleak.progress import Progress, Quiet
from logitleak.stages.attack_pace import foretell_attacks, in_all
from logitleak.stages.check import Checked, check
from logitleak.stages.evaluate import evaluate
from logitleak.stages.federate import federate
from logitleak.stages.folder import RunFolder, choose_device, logged, timed
from logitleak.stages.knowing import as_read
from logitleak.stages.opening import finished, open_run
from logitleak.stages.pace import duration, foretell, pace_of
from logitleak.stages.worlds import attack_seed, attack_worlds, check_attack
from logitleak.types import Reconstructions
from logitleak.wire.transcript import Transcript

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunResult:
    """What a run left: its folder, every number, and the report."""

    path: Path
    metrics: Mapping[str, Any]
    report: Path

    def accuracy(self, attack: str) -> float:
        """Attack accuracy of one attack, in [0, 1]."""
        return float(self.metrics["attacks"][attack]["accuracy"]["value"])


class AttacksFailed(UserError):
    """Attacks of a run failed; the others were scored, and the report is written.

    Attributes:
        failed: why, by the name of the attack.
        result: what the run left.
    """

    def __init__(self, failed: Mapping[str, str], result: RunResult) -> None:
        listed = " ".join(f"{name}: {reason}" for name, reason in failed.items())
        count = "1 attack" if len(failed) == 1 else f"{len(failed)} attacks"
        super().__init__(
            f"{count} failed. {listed} Change what failed and give the command again; the report has everything else."
        )
        self.failed = dict(failed)
        self.result = result


def run(
    config: Config | Mapping[str, Any] | Path | str | None = None,
    out: Path | str = "runs/run",
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> RunResult:
    """Simulate the federation, attack it, score the attacks and write the report.

    Calling it again with the same configuration goes on where the last call stopped, and does nothing twice. An attack
    that fails stops no other: the report is written without it, and then the failure is raised.

    Args:
        config: a `Config`, a mapping of its values, the path of a YAML file, or None for the defaults.
        out: the run folder.
        overwrite: replace a run of another configuration, or of another version of the tool.
        progress: where to report to; nothing is shown by default.

    Raises:
        AttacksFailed: attacks failed; everything else is done.
        UserError: something the user can mend, in one line.

    Examples:
        >>> result = logitleak.run({"data": {"targets": 10}, "attacks": ["ridge"]}, "runs/first")
        >>> result.accuracy("ridge")
    """
    progress = progress or Quiet()
    checked = as_config(config)
    found = check(checked)
    if not overwrite:
        RunFolder(Path(out)).refuse_deployed()
    with alone(Path(out)):
        folder = open_run(Path(out), checked, overwrite, progress)
        resolved = configs.load(folder.path / "config.yaml")
        if not isinstance(progress, Quiet):  # else nobody would read it, and it takes two seconds
            progress.note(_announcement(resolved, folder, found))
        with logged(folder):
            with timed(folder, "federation"):
                federate(resolved, folder, progress)
            tried = {
                name: _attack(folder, resolved, name, resolved.device, progress) for name in resolved.attacks
            }
            result = _finish(folder, progress)
    failed = {name: reason for name, reason in tried.items() if reason is not None}
    if failed:
        raise AttacksFailed(failed, result)
    return result


def attack_run(
    path: Path | str,
    name: str,
    entry: AttackConfig,
    *,
    device: str = "auto",
    progress: Progress | None = None,
) -> RunResult:
    """Add one attack to a recorded run, and write its report anew. The sealed folder need not exist.

    Raises:
        UserError: the run holds results of an attack of this name with other settings, the transcript does not fit, or
            the attack fails.
    """
    progress = progress or Quiet()
    folder = RunFolder(Path(path))
    folder.config()  # a folder that is none is not locked
    with alone(folder.path):
        config = folder.config()
        if name in config.attacks and config.attacks[name] != entry and folder.has_results(name):
            raise UserError(
                f'{path} holds an attack "{name}" with other settings; give this one another --name.'
            )
        if isinstance(config, Config):
            folder.refuse_unfinished(config.game.simulations)
        merged = config.model_copy(update={"attacks": {**config.attacks, name: entry}})
        check_attack(Transcript(folder.worlds[0].path), config, entry)
        open_run(folder.path, merged, progress=progress)
        with logged(folder):
            reason = _attack(folder, merged, name, device, progress)
            if reason is not None:
                raise UserError(reason)
            return _finish(folder, progress)


def attack(
    transcript: Path | str | Transcript,
    attack: str = "ridge",
    *,
    seed: int = 0,
    prior: str = "mean",
    prior_settings: Mapping[str, Any] | None = None,
    device: str = "auto",
    uploads: Reading = "undone",
    **settings: Any,
) -> Reconstructions:
    """Attack a transcript from Python; nothing is written.

    Args:
        transcript: a run folder, with twins one of its ``worlds/``; its ``wire/`` folder; or an open `Transcript`.
        attack: a registered attack.
        seed: the root seed.
        prior: a registered prior; ``prior_settings`` are its own.
        device: "auto", "cpu" or "cuda".
        uploads: "undone": what can be undone of the clients' defenses is; "as-sent": uploads are read as they came.
        **settings: the attack's settings, for example ``tau=3.0``.

    Returns:
        what the attack rebuilt after the last round: images float32 [K, T, 3, H, W] in [0, 1].

    Raises:
        UserError: an unknown name or setting, or a transcript that does not fit.
    """
    view = transcript if isinstance(transcript, Transcript) else Transcript(transcript)
    made = create(
        attack, settings, seed=attack_seed(seed), prior=prior, prior_settings=prior_settings,
        device=choose_device(device),
    )  # fmt: skip
    return made.last(as_read(view, uploads))


def write_report(path: Path | str, progress: Progress | None = None) -> RunResult:
    """Score the finished attacks of a run again and write its report.

    Raises:
        UserError: this is no run folder.
    """
    with finished(path) as (folder, _):
        clean(folder.path)
        return _finish(folder, progress or Quiet())


def as_config(config: Config | Mapping[str, Any] | Path | str | None) -> Config:
    """Whatever a caller gave, as a validated configuration."""
    if isinstance(config, Config):
        return config
    if config is None or isinstance(config, (str, Path)):
        return configs.load(None if config is None else Path(config))
    return configs.parse(config)


def _announcement(config: Config, folder: RunFolder, found: Checked) -> str:
    """Where a run is written, and how long its federation and attacks will take where they are not finished."""
    there = folder.status().get("federated")
    done = folder.attacks() if there else []
    left = [name for name in config.attacks if name not in done]
    if there and not left:
        return f"The run is written to {folder.path}; its federation is there."
    pace = pace_of(config, found, hurry=True)
    whole = f"takes about {duration(foretell(config, found, pace))} here"
    told = f"The run is written to {folder.path}; its federation {'is there' if there else whole}"
    attacks = config.model_copy(update={"attacks": {name: config.attacks[name] for name in left}})
    return f"{told}{in_all(foretell_attacks(attacks, found, pace, hurry=True))}."


def _attack(folder: RunFolder, config: RunConfig, name: str, device: str, progress: Progress) -> str | None:
    """One attack in every world. Its settings are chosen once, from what is public.

    Returns:
        None, or why it failed; ``run.json`` keeps that.
    """
    failed = {other: reason for other, reason in folder.failed().items() if other != name}
    try:
        with timed(folder, f"attack_{name}"):
            attack_worlds(
                folder, config, name, device, progress, lambda world: world.attack(name), folder.priors
            )
    except (UserError, MemoryError, RuntimeError) as error:
        reason = _reason(error)
        if reason is None:
            raise
        log.error("attack %s failed: %s", name, reason)
        folder.update(failed=failed | {name: reason})
        return reason
    if name in folder.failed():
        folder.update(failed=failed)
    return None


def _reason(error: Exception) -> str | None:
    """Why an attack failed, where that is its own affair; None for a fault of the program."""
    if isinstance(error, UserError):
        return str(error)
    if is_out_of_memory(error):
        return "There is not enough memory; lower its batch size or its width."
    return None


def _finish(folder: RunFolder, progress: Progress) -> RunResult:
    with timed(folder, "evaluation"):
        metrics = evaluate(folder, progress)
    progress.stage("report", 1)
    return RunResult(folder.path, metrics, report.build(folder.path))
