"""A whole run, and an attack on what an earlier one recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from logitleak import config as configs
from logitleak import report
from logitleak.attacks.base import create
from logitleak.config import AttackConfig, Config
from logitleak.errors import UserError
from logitleak.progress import Progress, Quiet
from logitleak.recorded import RunConfig
from logitleak.stages.check import check
from logitleak.stages.evaluate import evaluate
from logitleak.stages.federate import federate
from logitleak.stages.folder import RunFolder, choose_device, logged, open_run, timed
from logitleak.stages.worlds import attack_seed, attack_worlds, check_attack
from logitleak.transcript import Transcript
from logitleak.types import Reconstructions


@dataclass(frozen=True)
class RunResult:
    """What a run left: its folder, every number, and the report."""

    path: Path
    metrics: Mapping[str, Any]
    report: Path

    def accuracy(self, attack: str) -> float:
        """Attack accuracy of one attack, in [0, 1]."""
        return float(self.metrics["attacks"][attack]["accuracy"]["value"])


def run(
    config: Config | Mapping[str, Any] | Path | str | None = None,
    out: Path | str = "runs/run",
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> RunResult:
    """Simulate the federation, attack it, score the attacks and write the report.

    Calling it again with the same configuration goes on where the last call stopped, and does nothing twice.

    Args:
        config: a `Config`, a mapping of its values, the path of a YAML file, or None for the defaults.
        out: the run folder.
        overwrite: replace a run of another configuration.
        progress: where to report to; nothing is shown by default.

    Raises:
        UserError: something the user can mend, in one line.

    Example:
        >>> result = logitleak.run({"data": {"targets": 10}, "attacks": ["ridge"]}, "runs/first")
        >>> result.accuracy("ridge")
    """
    progress = progress or Quiet()
    checked = as_config(config)
    check(checked)
    if not overwrite:
        RunFolder(Path(out)).refuse_deployed()
    folder = open_run(Path(out), checked, overwrite)
    resolved = configs.load(folder.path / "config.yaml")
    with logged(folder):
        with timed(folder, "federation"):
            federate(resolved, folder, progress)
        for name in resolved.attacks:
            _attack(folder, resolved, name, resolved.device, progress)
        return _finish(folder, progress)


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
        UserError: the run holds an attack of this name with other settings, or the transcript does not fit.
    """
    progress = progress or Quiet()
    folder = RunFolder(Path(path))
    config = folder.config()
    if name in config.attacks and config.attacks[name] != entry:
        raise UserError(f'{path} holds an attack "{name}" with other settings; give this one another --name.')
    if isinstance(config, Config):
        folder.refuse_unfinished(config.game.simulations)
    merged = config.model_copy(update={"attacks": {**config.attacks, name: entry}})
    check_attack(Transcript(folder.worlds[0].path), config, entry)
    open_run(folder.path, merged, overwrite=False)
    with logged(folder):
        _attack(folder, merged, name, device, progress)
        return _finish(folder, progress)


def attack(
    transcript: Path | str | Transcript,
    attack: str = "ridge",
    *,
    seed: int = 0,
    prior: str = "mean",
    prior_settings: Mapping[str, Any] | None = None,
    device: str = "auto",
    **settings: Any,
) -> Reconstructions:
    """Attack a transcript from Python; nothing is written.

    Args:
        transcript: a run folder, with twins one of its ``worlds/``; its ``wire/`` folder; or an open `Transcript`.
        attack: a registered attack.
        seed: the root seed.
        prior: a registered prior; ``prior_settings`` are its own.
        device: "auto", "cpu" or "cuda".
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
    return made.last(view)


def write_report(path: Path | str, progress: Progress | None = None) -> RunResult:
    """Score the finished attacks of a run again and write its report.

    Raises:
        UserError: this is no run folder.
    """
    folder = RunFolder(Path(path))
    config = folder.config()
    if isinstance(config, Config):
        folder.refuse_unfinished(config.game.simulations)
    return _finish(folder, progress or Quiet())


def as_config(config: Config | Mapping[str, Any] | Path | str | None) -> Config:
    """Whatever a caller gave, as a validated configuration."""
    if isinstance(config, Config):
        return config
    if config is None or isinstance(config, (str, Path)):
        return configs.load(None if config is None else Path(config))
    return configs.parse(config)


def _attack(folder: RunFolder, config: RunConfig, name: str, device: str, progress: Progress) -> None:
    """One attack in every world. Its settings are chosen once, from what is public."""
    with timed(folder, f"attack_{name}"):
        attack_worlds(folder, config, name, device, progress, lambda world: world.attack(name), folder.priors)


def _finish(folder: RunFolder, progress: Progress) -> RunResult:
    with timed(folder, "evaluation"):
        metrics = evaluate(folder, progress)
    progress.stage("report", 1)
    try:
        page = report.build(folder.path)
    except report.ReportError as error:
        raise UserError(str(error)) from None
    return RunResult(folder.path, metrics, page)
