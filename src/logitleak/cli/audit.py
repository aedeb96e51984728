"""The command ``logitleak audit``: what else a federation gives away."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import tyro

from logitleak.choices import Device
from logitleak.cli.results import BRIEF, Flag, Refused
from logitleak.errors import UserError, did_you_mean
from logitleak.progress import progress_of

if TYPE_CHECKING:  # the report is slow to import, and help needs none
    from logitleak.report.audit.findings import Finding


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
            or epsilon=1: the lower end of its interval is above the value (of identity either of its two: who is at
            which client, who took part). With 2 where that is not shown, and one of these was not answered, or by too
            few targets for any leak to be above the value.
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
                "areas": [
                    {"about": claim.about, "value": claim.value, "low": claim.low, "high": claim.high}
                    for claim in one.claims
                ],
            }
            for one in found
        },
    }  # fmt: skip
    if not json:
        for one in () if quiet else found:
            print(f"{one.audit:<14} {one.sentence}")
        print(result.report)
    held_against(limits, found, told if json else {})
    return told if json else None


def held_against(limits: Mapping[str, float], found: Sequence[Finding], told: dict[str, Any]) -> None:
    """Hold answers against limits. What was not answered, or could not have been above its limit whatever had leaked,
    is no pass.

    Args:
        limits: by audit.
        found: an answer for each of them, and perhaps others.
        told: what is printed beside the error.

    Raises:
        AboveLimit: more is shown than is allowed.
        NotAnswered: that is not so, and a limit says nothing.
    """
    answers = {one.audit: one for one in found}
    above, silent = [], []
    for name, limit in limits.items():
        one = answers[name]
        if one.value is None or one.low is None:
            silent.append(f"{name} was not answered, so its limit says nothing: {one.sentence}")
            continue
        measured = _measured(one)
        shown = [each for each in measured if each.low > limit]
        above += [
            f"{each.name} is {each.value:.3g}, at least {each.low:.3g}, and {limit:g} is allowed"
            for each in shown
        ]
        silent += [
            f"{each.name} could not have been shown to be above {limit:g} here, whatever had leaked: so few would show "
            f"{each.most:.3g} at most. More targets would (see logitleak audit --plan), or a lower limit."
            for each in measured
            if not shown and each.most is not None and each.most <= limit
        ]
    if above:
        raise AboveLimit("; ".join([*above, *(text.rstrip(".") for text in silent)]) + ".", told)
    if silent:
        raise NotAnswered(" ".join(silent), told)


class _Measured(NamedTuple):
    """One number that is held against a limit.

    Attributes:
        name: the audit's, and what the number is about where there are several.
        value, low: the number, and the lower end of its interval.
        most: the largest lower end that it could have had; None where that is not known.
    """

    name: str
    value: float
    low: float
    most: float | None


def _measured(one: Finding) -> list[_Measured]:
    """All numbers of an answer: who took part may be hidden where who is at which client is not."""
    from logitleak.metrics.detection import interval

    if not one.claims:
        assert one.value is not None
        assert one.low is not None
        return [_Measured(one.audit, one.value, one.low, one.ceiling)]
    several = len(one.claims) > 1
    return [
        _Measured(
            f"{one.audit} ({claim.about})" if several else one.audit,
            claim.value,
            claim.low,
            interval(1.0, *claim.sizes)[0],
        )
        for claim in one.claims
    ]


class AboveLimit(Refused):
    """More was found than is allowed; the command ends with 1."""

    code = 1


class NotAnswered(Refused):
    """A limit was set for what nobody can say here; the command ends with 2."""


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
        if name != "epsilon" and value >= 1:
            raise UserError(
                f'"{one}" allows everything, since what is found is 1 at most; give less, or leave it out.'
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
