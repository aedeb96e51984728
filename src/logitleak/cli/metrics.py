"""The command ``logitleak export-metrics``: numbers of a run or a sweep for an experiment tracker."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from logitleak.cli.results import BRIEF, Flag
from logitleak.errors import UserError


def export_metrics(
    run_folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")],
    /,
    to: Annotated[str, tyro.conf.arg(metavar="TRACKER")],
    out: Annotated[Path, tyro.conf.arg(metavar="FOLDER")],
    project: Annotated[str | None, tyro.conf.arg(metavar="NAME"), BRIEF] = None,
    quiet: Flag = False,
) -> None:
    """Write the numbers of a run, or of each finished cell of a sweep, for MLflow or Weights & Biases.

    Settings, numbers and times go along, and no image. Nothing is sent over a network.

    Args:
        run_folder: The folder of a run or of a sweep.
        to: What reads them: mlflow or wandb; see `logitleak ls tracker`.
        out: The folder that the tracker reads; what is in it already stays.
        project: What to file them under, an experiment or a project; by default logitleak.
        quiet: Show nothing but the folder.
    """
    from logitleak import registry
    from logitleak.trackers.record import records

    tracker = registry.load("tracker", to)()
    found = records(run_folder)
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file; give --out a folder.")
    command = tracker.write(found, out, project or "logitleak")
    if not quiet:
        print(f"{len(found)} {'run' if len(found) == 1 else 'runs'} written; next: {command}")
    print(out)
