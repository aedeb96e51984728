"""The command ``logitleak audit``: what else a federation gives away."""

from __future__ import annotations

import math
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import tyro

from logitleak.choices import Device
from logitleak.cli.results import BRIEF, Flag, Refused
from logitleak.errors import UserError, did_you_mean
from logitleak.progress import progress_of


def audit(
    run_folder: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[RUN]"), BRIEF] = None,
    /,
    fast: Flag = False,
    plan: Flag = False,
    fail_above: Annotated[tuple[str, ...], tyro.conf.arg(metavar="AUDIT=VALUE"), BRIEF] = (),
    device: Device = "auto",
    quiet: Flag = False,
    json: Flag = False,
) -> dict[str, Any] | None:
    """Say what a recorded federation gives away beyond pictures: who is where, which images were used, how much of each
    class, the model itself, and a bound on epsilon.

    Args:
        run_folder: The folder of a run, of an imported capture or of a Flower federation.
        fast: Train nothing: no students of the uploads, and no federation of the server's own.
        plan: Say how many targets or canaries would show which leak, and do nothing else.
        fail_above: Exit with 1 where it is shown that an audit finds more, such as identity=0.6 (area under the curve)
            or epsilon=1: the lower end of its interval is above the value.
        device: Where models are trained.
        quiet: Show nothing but the path of the report.
        json: Print one JSON object: every answer with its interval.
    """
    if plan:
        return _plan(json)
    if run_folder is None:
        raise UserError("Which run? Give its folder, such as runs/demo.")
    from logitleak import registry, report
    from logitleak.stages import audit as stages

    limits = _limits(fail_above, [*registry.names("audit"), "epsilon"])
    with ExitStack() as stack:
        result = stages.audit(run_folder, fast=fast, device=device, progress=progress_of(quiet, stack))
    found = report.audit_findings(result.path)
    told = {
        "report": str(result.report),
        "run": str(result.path),
        "answers": {
            one.audit: {
                "grade": one.grade, "sentence": one.sentence, "value": one.value, "low": one.low, "high": one.high,
            }
            for one in found
        },
    }  # fmt: skip
    if not json:
        for one in () if quiet else found:
            print(f"{one.audit:<14} {one.sentence}")
        print(result.report)
    for name in limits:
        if next(one.value for one in found if one.audit == name) is None:
            print(f"logitleak: {name} was not answered, so its limit says nothing.", file=sys.stderr)
    above = [
        f"{one.audit} is {one.value:.3g}, at least {one.low:.3g}, and {limits[one.audit]:g} is allowed"
        for one in found
        if one.audit in limits
        and one.value is not None
        and one.low is not None
        and one.low > limits[one.audit]
    ]
    if above:
        raise AboveLimit("; ".join(above) + ".", told if json else {})
    return told if json else None


class AboveLimit(Refused):
    """More was found than is allowed; the command ends with 1."""

    code = 1


def _limits(given: tuple[str, ...], names: list[str]) -> dict[str, float]:
    """The limits by audit. What is none is refused before anything is computed.

    Args:
        given: as they were typed.
        names: what can be limited.
    """
    limits = {}
    for one in given:
        name, equals, text = one.partition("=")
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not equals or not math.isfinite(value):
            raise UserError(f'"{one}" is no limit; write an audit and a number, such as identity=0.6.')
        if name not in names:
            raise UserError(f'No audit is called "{name}".{did_you_mean(name, names)}')
        if name == "shares":
            raise UserError(
                "What is found of shares is an error, which is smaller where more is given away, and has no interval; "
                "there is no limit for it."
            )
        limits[name] = value
    return limits


def _plan(json: bool) -> dict[str, Any] | None:
    """What so many targets can show."""
    from logitleak.metrics.epsilon import ceiling
    from logitleak.metrics.exposure import DELTA, detectable

    rows = [
        {
            "targets": n,
            "twins": round(detectable(n, n), 3),
            "decoys": round(detectable(n // 2, n - n // 2), 3),
            "epsilon": round(ceiling(n, max(1, n // 2), DELTA), 2),
        }
        for n in (10, 20, 40, 100, 200, 400, 1000)
    ]
    if json:
        return {"delta": DELTA, "plan": rows}
    print("targets   area shown by twins   area shown by decoys   largest epsilon that decoys can show")
    for row in rows:
        print(
            f"{row['targets']:>7}   {row['twins']:>19.2f}   {row['decoys']:>20.2f}   {row['epsilon']:>36.2f}"
        )
    print(
        "An area is shown with a chance of 80% if it is at least so large. More seeds add targets: count all of them."
    )
    return None
