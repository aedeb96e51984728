"""The command ``logitleak defend``: which defense would help, and what it costs."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from logitleak.choices import Device
from logitleak.cli.results import BRIEF, Flag, Refused
from logitleak.cli.run import Overrides
from logitleak.errors import UserError
from logitleak.progress import progress_of

if TYPE_CHECKING:
    from logitleak.config import Config


def defend(
    config: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CONFIG")],
    /,
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR"), BRIEF] = None,
    only: Annotated[tuple[str, ...], tyro.conf.arg(metavar="DEFENSE"), BRIEF] = (),
    seeds: Annotated[tuple[int, ...], tyro.conf.arg(metavar="N"), BRIEF] = (),
    fast: Flag = False,
    overrides: Overrides = (),
    workers: Annotated[int | None, BRIEF] = None,
    device: Annotated[Device | None, BRIEF] = None,
    quiet: Flag = False,
    json: Flag = False,
) -> dict[str, Any] | None:
    """Try every defense at three strengths on a federation, and say which one helps and what it costs.

    The same command goes on where an interrupted one stopped; more defenses or seeds may be added in the same folder.

    Args:
        config: A configuration, or the folder of a run whose configuration is taken.
        out: Where everything goes; by default defenses/ and the name of the config.
        only: These defenses alone; all by default. "as configured" tries those that the configuration names.
        seeds: Seeds of federations; by default the configuration's. Settings that were chosen on some should be
            confirmed on others.
        fast: One strength of each, the attack gap alone, and audits that train nothing.
        overrides: Changes to the configuration.
        workers: How many processes; by default one for each core.
        device: Where to compute; by default as the config says.
        quiet: Show nothing but the path of the page.
        json: Print one JSON object: every setting and the recommendation.
    """
    from logitleak import report
    from logitleak.sweep.defend import plan
    from logitleak.sweep.frontier import write_frontier
    from logitleak.sweep.run import run_sweep

    if workers is not None and workers < 1:
        raise UserError("It needs at least one worker; give --workers 1 or more.")
    asked = [*overrides, f"device={device}"] if device is not None else list(overrides)
    sweep = plan(_loaded(config, asked), only, seeds, fast)
    out = out or Path("defenses") / config.stem
    with ExitStack() as stack:
        result = run_sweep(sweep, out, progress_of(quiet, stack), workers=workers)
    found = write_frontier(out)
    page = report.build_defend(out)
    if not (quiet or json):
        print(found["recommendation"]["sentence"])
    failed = {**result.failed, **result.unaudited}
    for task, reason in failed.items():
        print(f"logitleak: {task} failed: {reason}", file=sys.stderr)
    if not json:
        print(page)
    told = {"report": str(page), **found} if json else None
    if failed:
        raise Unfinished(f"{len(failed)} of its parts failed; the same command tries them again.", told or {})
    return told


class Unfinished(Refused):
    """Some cells or audits failed; the command ends with 1."""

    code = 1


def _loaded(path: Path, overrides: list[str]) -> Config:
    """The configuration of a file, or of a run.

    Raises:
        UserError: there is none, or it is of a federation that was recorded elsewhere.
    """
    from logitleak import config as configs

    if not path.is_dir():
        return configs.load(path, overrides)
    if not (path / "config.yaml").is_file():
        raise UserError(f"{path} is no run folder: there is no config.yaml in it.")
    return configs.load(path / "config.yaml", overrides)
