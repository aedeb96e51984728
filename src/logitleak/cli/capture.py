"""The commands ``logitleak import``, ``export`` and ``validate``: recorded federations, in, out and looked at."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import tyro

from logitleak.capture.places import DESCRIPTIONS
from logitleak.cli.results import BRIEF, Flag, Refused
from logitleak.errors import UserError
from logitleak.progress import progress_of


def import_(
    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CAPTURE")],
    /,
    out: Annotated[Path | None, tyro.conf.arg(metavar="RUN"), BRIEF] = None,
    seed: int = 0,
    overwrite: Flag = False,
    quiet: Flag = False,
) -> None:
    """Make a run of recorded logits (see docs/capture.md), to attack and to report on as any other.

    Args:
        source: The folder of a capture, or the bare wire/ folder of a transcript.
        out: The run folder; by default runs/ and the name of the capture.
        seed: The root seed of the attacks.
        overwrite: Replace the run in this folder.
        quiet: Show nothing but the run folder.
    """
    from logitleak.stages.record import import_recorded

    if seed < 0:
        raise UserError("A seed is not negative; give --seed 0 or more.")
    if source.name in DESCRIPTIONS:
        source = source.parent
    out = out or Path("runs") / source.resolve().name
    with ExitStack() as stack:
        imported = import_recorded(
            source, out, seed=seed, overwrite=overwrite, progress=progress_of(quiet, stack)
        )
    if not quiet:
        for line in imported.findings.lines():
            print(line)
    print(imported.path)


def export(
    run_folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")],
    /,
    out: Annotated[Path, tyro.conf.arg(metavar="CAPTURE")],
    title: Annotated[str | None, BRIEF] = None,
) -> None:
    """Write the transcript of a run as a capture of npz files. Nothing of the sealed folder goes with it.

    Args:
        run_folder: The folder of a run, or its wire/ folder.
        out: The folder of the capture; it must not exist.
        title: How the capture calls its data; by default as the report of the run does.
    """
    from logitleak.stages.record import export_run

    export_run(run_folder, out, title)
    print(out)


def validate(
    path: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[PATH]"), BRIEF] = None,
    /,
    overrides: Annotated[
        tuple[str, ...],
        tyro.conf.arg(name="set", metavar="KEY=VALUE", help="Change single settings of a config file."),
        BRIEF,
    ] = (),
    json: Flag = False,
) -> dict[str, Any] | None:
    """Say what a run would do and take, or what is wrong with a capture or with a recorded run, without doing it.

    Args:
        path: A config file, the folder of a capture, or the folder of a run; without one, the defaults.
        overrides: Changes to the config.
        json: Print one JSON object: the plan in numbers (bytes and seconds), or every finding.
    """
    if path is not None and path.name in DESCRIPTIONS:
        path = path.parent
    if path is None or not path.is_dir():
        from logitleak import config as configs
        from logitleak.stages.plan import plan

        planned = plan(configs.load(path, overrides))
        if json:
            return asdict(planned)
        for line in planned.lines():
            print(line)
        return None
    if overrides:
        raise UserError("--set changes a config file; a capture or a run is validated as it is.")
    from logitleak.stages.verify import verify

    checked = verify(path)
    findings = checked.findings
    told = {
        "path": str(path),
        "usable": not findings.errors,
        "facts": checked.facts,
        "errors": findings.errors,
        "warnings": findings.warnings,
        "findings": [asdict(finding) for finding in findings.kept],
    }
    if not json:
        for line in [*checked.facts, *findings.lines()]:
            print(line)
    if findings.errors:
        raise Refused(f"{path} cannot be used: {findings.summary()}.", told)
    if json:
        return told
    print(f"{path} can be used: {findings.summary()}.")
    return None
