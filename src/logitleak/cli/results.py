"""What a command prints: lines for people, one JSON object for programs; and how help shows defaults."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from logitleak.errors import UserError
from logitleak.text import noun_of, plural

if TYPE_CHECKING:  # torch and the report are slow to import, and help needs neither
    from logitleak.stages.run import RunResult

BRIEF = tyro.conf.arg(help_behavior_hint=lambda d: "" if d in ("None", "False", "") else f"(default: {d})")
"""Help says a default only where it says something."""

Flag = Annotated[bool, BRIEF]


class Refused(UserError):
    """A failure beside which there is something to print.

    Args:
        message: one line, as of any `UserError`.
        found: what ``--json`` prints beside the error.

    Attributes:
        code: what the command ends with.
    """

    code = 2

    def __init__(self, message: str, found: dict[str, Any]) -> None:
        super().__init__(message)
        self.found = found


def print_result(result: RunResult, quiet: bool) -> None:
    """Print the result of a run for a person; nothing but the path where it is to be quiet."""
    if not quiet:
        for name, scored in result.metrics["attacks"].items():
            many = plural(noun_of(result.metrics.get("noun")))
            print(f"{name:<14} {_in_words(scored, image_of(result.metrics), many)}")
    print(result.report)


def as_json(result: RunResult) -> dict[str, Any]:
    """The result of a run for a program, from the numbers of its ``metrics.json``.

    Returns:
        paths of the report and the run, each attack's numbers after the last round, the attacks that failed with the
        reason, and the verdict of the report. What was not measured is null.
    """
    return {
        "report": str(result.report),
        "run": str(result.path),
        "attacks": {
            name: _numbers(scored, image_of(result.metrics))
            for name, scored in result.metrics["attacks"].items()
        },
        "failed": dict(result.metrics["failed"]),
        "verdict": _verdict(result.path),
    }


def image_of(metrics: Mapping[str, Any]) -> str:
    """Which image of each target the game is about: "chosen", or that of its "owner"."""
    primary = (metrics.get("game") or {}).get("primary") or {}
    return str(primary.get("image", "chosen"))


def _compared(scored: dict[str, Any], image: str) -> dict[str, Any] | None:
    """The comparison of an attack's images; of the chosen ones where owners are not known."""
    leak = scored.get("leak") or {}
    found: dict[str, Any] | None = leak.get(image) or leak.get("chosen")
    return found


def _numbers(scored: dict[str, Any], image: str) -> dict[str, Any]:
    found = _compared(scored, image)
    leak = found and {side: found[side] for side in ("in", "out", "leak", "wins")}
    return {"kind": scored["kind"], "accuracy": scored.get("accuracy"), "leak": leak or None}


def _verdict(run: Path) -> dict[str, Any]:
    from logitleak import report

    found = report.verdict(run)
    return {
        "grade": found.grade,
        "badge": found.badge,
        "headline": found.headline,
        "attack": found.best,
    }


def _in_words(scored: dict[str, Any], image: str, many: str) -> str:
    """One attack's result: the leak where a game was played, else the paper's measure.

    Args:
        scored: its entry in ``metrics.json``.
        image: which image of each target the game is about.
        many: what several targets are called, such as people.
    """
    accuracy, found = scored.get("accuracy"), _compared(scored, image)
    if accuracy is None:
        return "finished; there is no truth to score it with"
    if not found:
        return (
            f"{100 * accuracy['value']:5.1f} %  [{100 * accuracy['low']:.0f} to {100 * accuracy['high']:.0f}]  "
            f"of {accuracy['trials']} {many} rebuilt, SSIM {scored['mean']['ssim']:.2f}"
        )
    wins = found["wins"]
    won = f", better likeness for {wins['successes']} of {wins['trials']}" if wins else ""
    return (
        f"leak {100 * found['leak']['value']:+5.1f} points  "
        f"[{100 * found['leak']['low']:+.0f} to {100 * found['leak']['high']:+.0f}]  "
        f"rebuilt with their images {found['in']['successes']} of {found['in']['trials']}, "
        f"without {found['out']['successes']} of {found['out']['trials']}{won}"
    )
