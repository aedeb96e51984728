"""The commands ``logitleak run``, ``attack``, ``sweep`` and ``report``: what computes, and what it found."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from logitleak.choices import Device, Reading, Tuning, View
from logitleak.cli.results import BRIEF, Flag, Refused, as_json, print_result
from logitleak.errors import UserError
from logitleak.progress import progress_of

if TYPE_CHECKING:  # torch is slow to import, and help does not need it
    from logitleak.stages.run import RunResult

Overrides = Annotated[
    tuple[str, ...],
    tyro.conf.arg(name="set", metavar="KEY=VALUE", help="Change single settings, such as data.targets=20."),
    BRIEF,
]
Run = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]


def run(
    config: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[CONFIG]"), BRIEF] = None,
    /,
    out: Annotated[Path | None, tyro.conf.arg(metavar="RUN"), BRIEF] = None,
    overrides: Overrides = (),
    overwrite: Flag = False,
    twins: Flag = False,
    tune: Annotated[Tuning | None, BRIEF] = None,
    device: Annotated[Device | None, BRIEF] = None,
    quiet: Flag = False,
    json: Flag = False,
) -> dict[str, Any] | None:
    """Simulate a federation, attack it, and write an HTML report of what leaked.

    The same command goes on where an interrupted run stopped.

    Args:
        config: A YAML file; without one, the defaults.
        out: The run folder; by default runs/ and the name of the config.
        overrides: Changes to the config.
        overwrite: Replace a run of another configuration, or of another version of Logitleak, in this folder.
        twins: Run the federation in twin worlds: in each, half of the targets are withheld, so that the report says
            what their images changed. The same as --set game.design=twins.
        tune: How every attack's settings that are not given are chosen, from public data alone. public: by what
            leaks on mock twins, a federation that the server plays by itself.
        device: Where to compute; by default as the config says. The same as --set device=cpu.
        quiet: Show nothing but the path of the report.
        json: Print one JSON object: the report, every attack's numbers, the verdict.
    """
    from logitleak import config as configs
    from logitleak.stages import run as stages

    asked = [
        *overrides,
        *(["game.design=twins"] if twins else []),
        *([f"device={device}"] if device is not None else []),
    ]
    loaded = configs.load(config, asked)
    if tune is not None:
        loaded = loaded.tuned(tune)
    out = out or Path("runs") / (config.stem if config is not None else "run")
    try:
        with ExitStack() as stack:
            result = stages.run(loaded, out, overwrite=overwrite, progress=progress_of(quiet, stack))
    except stages.AttacksFailed as failed:
        found = as_json(failed.result) if json else {}
        if not json:
            print_result(failed.result, quiet)
        raise Refused(str(failed), found) from None
    return _told(result, quiet, json)


def attack(
    run_folder: Run,
    /,
    attack: Annotated[str, tyro.conf.arg(metavar="ATTACK")] = "ridge",
    name: Annotated[str | None, tyro.conf.arg(metavar="NAME"), BRIEF] = None,
    prior: Annotated[str, tyro.conf.arg(metavar="PRIOR")] = "mean",
    settings: Annotated[
        tuple[str, ...],
        tyro.conf.arg(name="set", metavar="KEY=VALUE", help="Settings of the attack, such as tau=3."),
        BRIEF,
    ] = (),
    prior_settings: Annotated[
        tuple[str, ...],
        tyro.conf.arg(
            name="prior-set", metavar="KEY=VALUE", help="Settings of the prior, such as steps=500."
        ),
        BRIEF,
    ] = (),
    tune: Annotated[Tuning | None, BRIEF] = None,
    view: View = "clients",
    uploads: Annotated[Reading, BRIEF] = "undone",
    device: Device = "auto",
    quiet: Flag = False,
    json: Flag = False,
) -> dict[str, Any] | None:
    """Attack a recorded transcript, and write its report anew. The sealed folder need not exist.

    Args:
        run_folder: The folder of a run.
        attack: What to attack with; see `logitleak ls attack`.
        name: What to call it in the report; by default the name of the attack.
        prior: The prior of the attack; see `logitleak ls prior`.
        settings: Settings of the attack.
        prior_settings: Settings of the prior.
        tune: How settings that are not given are chosen, from public data alone. public: by what leaks on mock twins,
            which costs about one more federation; so gap and ridge do where none of theirs is given.
        view: sum: see the mean of all uploads only, as behind a secure sum.
        uploads: undone: the attacker knows which defenses clients use, and undoes what can be undone of them. as-sent:
            it reads uploads as they came.
        device: Where to compute.
        quiet: Show nothing but the path of the report.
        json: Print one JSON object: the report, every attack's numbers, the verdict.
    """
    from logitleak import config as configs
    from logitleak import registry
    from logitleak.stages import run as stages

    registry.check("attack", attack)
    for setting in (*settings, *prior_settings):
        if "=" not in setting:
            raise UserError(f'"{setting}" is no override; write key=value, for example tau=3.')
    name = name or attack
    overrides = [f"attacks.{name}.settings.{setting}" for setting in settings]
    overrides += [f"attacks.{name}.prior_settings.{setting}" for setting in prior_settings]
    entry = {"attack": attack, "prior": prior, "tune": tune, "view": view, "uploads": uploads}
    parsed = configs.parse_with({"attacks": {name: entry}}, overrides)
    with ExitStack() as stack:
        result = stages.attack_run(
            run_folder, name, parsed.attacks[name], device=device, progress=progress_of(quiet, stack)
        )
    return _told(result, quiet, json)


def sweep(
    config: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CONFIG")],
    /,
    out: Annotated[Path | None, tyro.conf.arg(metavar="SWEEP"), BRIEF] = None,
    overrides: Overrides = (),
    only: Annotated[tuple[str, ...], tyro.conf.arg(metavar="AXIS=VALUE"), BRIEF] = (),
    on: Literal["local", "ray"] = "local",
    workers: Annotated[int | None, BRIEF] = None,
    ray_address: str = "auto",
    device: Annotated[Device | None, BRIEF] = None,
    quiet: Flag = False,
) -> None:
    """Run a grid of federations and attacks, each once, and write one report of all.

    The same command goes on where an interrupted sweep stopped; finished cells are kept.

    Args:
        config: A sweep's YAML file.
        out: The sweep's folder; by default sweeps/ and the name of the config.
        overrides: Changes to the sweep's base configuration.
        only: A part of the grid, such as scheme=FedMD seed=[0,1].
        on: Local processes, or a Ray cluster.
        workers: How many processes; by default one for each core.
        ray_address: auto, local, HOST:PORT or ray://HOST:PORT.
        device: Where to compute; by default as the config says. The same as --set device=cpu.
        quiet: Show nothing but the path of the report.
    """
    from logitleak.sweep import config as sweeps
    from logitleak.sweep.run import run_sweep

    if workers is not None and workers < 1:
        raise UserError("A sweep needs at least one worker; give --workers 1 or more.")
    asked = [*overrides, f"device={device}"] if device is not None else overrides
    loaded = sweeps.load(config, asked, only)
    out = out or Path("sweeps") / config.stem
    with ExitStack() as stack:
        progress = progress_of(quiet, stack)
        result = run_sweep(loaded, out, progress, on=on, workers=workers, ray_address=ray_address)
    if not quiet:
        print(
            f"{result.cells - len(result.failed)} of {result.cells} cells are finished; {out / 'table.csv'}"
        )
    for cell, reason in result.failed.items():
        print(f"logitleak: cell {cell} failed: {reason}", file=sys.stderr)
    for federation, reason in result.unaudited.items():
        print(f"logitleak: the audit of {federation} failed: {reason}", file=sys.stderr)
    print(result.report)
    if result.failed or result.unaudited:
        sys.exit(1)


def report(run_folder: Run, /, quiet: Flag = False, json: Flag = False) -> dict[str, Any] | None:
    """Score the finished attacks of a run again, and write its report; or write the report of a sweep.

    Args:
        run_folder: The folder of a run or of a sweep.
        quiet: Show nothing but the path of the report.
        json: Print one JSON object: the report, every attack's numbers, the verdict; of a sweep the report.
    """
    if (run_folder / "sweep.json").is_file():
        from logitleak.sweep.run import build_report

        page = build_report(run_folder)
        if json:
            return {"report": str(page), "sweep": str(run_folder)}
        print(page)
        return None
    if not (run_folder / "config.yaml").is_file():
        raise UserError(f"{run_folder} is neither the folder of a run nor of a sweep.")
    from logitleak.stages import run as stages

    with ExitStack() as stack:
        result = stages.write_report(run_folder, progress_of(quiet, stack))
    return _told(result, quiet, json)


def _told(result: RunResult, quiet: bool, json: bool) -> dict[str, Any] | None:
    """The result for a program, or None where it was printed for a person."""
    if json:
        return as_json(result)
    print_result(result, quiet)
    return None
