"""The command line. A user's mistake is one line on standard error and exit code 2, never a traceback."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from logitleak.cli import capture as cli_capture
from logitleak.cli import data as cli_data
from logitleak.cli import deploy as cli_deploy
from logitleak.cli.results import print_result
from logitleak.errors import UserError, did_you_mean
from logitleak.machine import allocator
from logitleak.machine.memory import is_out_of_memory
from logitleak.progress import progress_of
from logitleak.text import printable

Overrides = Annotated[
    tuple[str, ...],
    tyro.conf.arg(name="set", metavar="KEY=VALUE", help="Change single settings, such as data.targets=20."),
]
Tuning = Literal["none", "public", "mock-targets"]
Settings = Annotated[
    tuple[str, ...],
    tyro.conf.arg(name="set", metavar="KEY=VALUE", help="Settings of the attack, such as tau=3."),
]


def run(
    config: Annotated[Path | None, tyro.conf.Positional] = None,
    /,
    out: Path | None = None,
    overrides: Overrides = (),
    overwrite: bool = False,
    twins: bool = False,
    tune: Tuning | None = None,
    quiet: bool = False,
) -> None:
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
        quiet: Show nothing but the path of the report.
    """
    from logitleak import config as configs
    from logitleak.stages import run as stages

    loaded = configs.load(config, [*overrides, "game.design=twins"] if twins else overrides)
    if tune is not None:
        loaded = loaded.tuned(tune)
    out = out or Path("runs") / (config.stem if config is not None else "run")
    try:
        with ExitStack() as stack:
            result = stages.run(loaded, out, overwrite=overwrite, progress=progress_of(quiet, stack))
    except stages.AttacksFailed as failed:
        print_result(failed.result, quiet)
        raise
    print_result(result, quiet)


def attack(
    run_folder: Annotated[Path, tyro.conf.Positional],
    /,
    attack: str = "ridge",
    name: str | None = None,
    prior: str = "mean",
    settings: Settings = (),
    tune: Tuning = "none",
    view: Literal["clients", "sum"] = "clients",
    device: Literal["auto", "cpu", "cuda"] = "auto",
    quiet: bool = False,
) -> None:
    """Attack a recorded transcript, and write its report anew. The sealed folder need not exist.

    Args:
        run_folder: The folder of a run.
        attack: What to attack with; see `logitleak ls`.
        name: What to call it in the report; by default the name of the attack.
        prior: The prior of the attack.
        settings: Settings of the attack.
        tune: How settings that are not given are chosen, from public data alone; public is by what leaks on mock twins.
        view: sum: see the mean of all uploads only, as behind a secure sum.
        device: Where to compute.
        quiet: Show nothing but the path of the report.
    """
    from logitleak import config as configs
    from logitleak import registry
    from logitleak.stages import run as stages

    registry.check("attack", attack)
    overrides = [f"attacks.{name or attack}.settings.{setting}" for setting in settings]
    entry = {"attack": attack, "prior": prior, "tune": tune, "view": view}
    parsed = configs.parse_with({"attacks": {name or attack: entry}}, overrides)
    with ExitStack() as stack:
        result = stages.attack_run(
            run_folder, name or attack, parsed.attacks[name or attack], device=device,
            progress=progress_of(quiet, stack),
        )  # fmt: skip
    print_result(result, quiet)


def sweep(
    config: Annotated[Path, tyro.conf.Positional],
    /,
    out: Path | None = None,
    overrides: Overrides = (),
    only: Annotated[tuple[str, ...], tyro.conf.arg(metavar="AXIS=VALUE")] = (),
    on: Literal["local", "ray"] = "local",
    workers: int | None = None,
    ray_address: str = "auto",
    quiet: bool = False,
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
        quiet: Show nothing but the path of the report.
    """
    from logitleak.sweep import config as sweeps
    from logitleak.sweep.run import run_sweep

    if workers is not None and workers < 1:
        raise UserError("A sweep needs at least one worker; give --workers 1 or more.")
    loaded = sweeps.load(config, overrides, only)
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
    print(result.report)
    if result.failed:
        sys.exit(1)


def report(folder: Annotated[Path, tyro.conf.Positional], /, quiet: bool = False) -> None:
    """Score the finished attacks of a run again, and write its report; or write the report of a sweep.

    Args:
        folder: The folder of a run or of a sweep.
        quiet: Show nothing but the path of the report.
    """
    if (folder / "sweep.json").is_file():
        from logitleak.sweep.run import build_report

        print(build_report(folder))
        return
    if not (folder / "config.yaml").is_file():
        raise UserError(f"{folder} is neither the folder of a run nor of a sweep.")
    from logitleak.stages import run as stages

    with ExitStack() as stack:
        result = stages.write_report(folder, progress_of(quiet, stack))
    print_result(result, quiet)


def ls(kind: Annotated[str | None, tyro.conf.Positional] = None, /) -> None:
    """List what is registered, with one line each.

    Args:
        kind: One of scheme, attack, prior, data, degradation, model, metric; all by default.
    """
    from logitleak.registry import TABLES

    if kind is not None and kind not in TABLES:
        raise UserError(f'There is no kind "{kind}".{did_you_mean(kind, TABLES)}')
    for title, table in TABLES.items():
        if kind in (None, title):
            print(title)
            for name, entry in table.items():
                print(f"  {name:<12} {entry.summary}")


_DATA: dict[str, Callable[..., Any]] = {
    "synth": cli_data.data_synth,
    "prepare": cli_data.data_prepare,
    "show": cli_data.data_show,
}


def data() -> None:
    """Render synthetic people, prepare a data set, or look at one: data synth, data prepare, data show."""
    main(["data", "--help"])


_DEPLOY: dict[str, Callable[..., Any]] = {
    "init": cli_deploy.deploy_init,
    "split": cli_deploy.deploy_split,
    "keys": cli_deploy.deploy_keys,
}


def deploy() -> None:
    """Make a federation of real processes over Flower: deploy init, deploy split, deploy keys."""
    main(["deploy", "--help"])


_GROUPS = {"data": _DATA, "deploy": _DEPLOY}

_COMMANDS: dict[str, Callable[..., Any]] = {
    "run": run,
    "attack": attack,
    "sweep": sweep,
    "report": report,
    "import": cli_capture.import_,
    "export": cli_capture.export,
    "data": data,
    "deploy": deploy,
    "ls": ls,
    "validate": cli_capture.validate,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of ``logitleak``."""
    allocator.own_process()
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file name need not be UTF-8, and is printed all the same; standard error is like this by default.
        sys.stdout.reconfigure(errors="backslashreplace")
    commands, prog = _COMMANDS, "logitleak"
    if len(arguments) > 1 and arguments[0] in _GROUPS:
        commands, prog, arguments = _GROUPS[arguments[0]], f"logitleak {arguments[0]}", arguments[1:]
    try:
        if arguments[:1] == ["--version"]:
            from logitleak import __version__

            print(__version__)
            return
        tyro.extras.subcommand_cli_from_dict(
            commands,
            prog=prog,
            description="Shows what federated distillation gives away.",
            args=arguments,
            config=(tyro.conf.FlagCreatePairsOff, tyro.conf.DisallowNone),
        )
        sys.stdout.flush()  # here, where somebody listens to what goes wrong
    except UserError as error:
        _fail(str(error))
    except BrokenPipeError:  # whoever read our output has seen enough, as with `| head`
        # what is left in the buffer must not be tried again when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)  # what a shell says of a process that SIGPIPE ended
    except OSError as error:
        _fail(_explain(error))
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        _fail("There is not enough memory; lower the batch size, the width or the number of images.")
    except KeyboardInterrupt:
        print("Interrupted; the same command goes on from here.", file=sys.stderr)
        sys.exit(130)


def _explain(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    if error.errno == errno.ENOSPC:
        return f"The disk is full{where}; free some space and give the same command again."
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return f"No permission to write or read{where}; choose another folder."
    return f"{error.strerror or error}{where}."


def _fail(message: str) -> None:
    print(f"logitleak: {printable(message, 2000)}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
