"""What a command prints of a run: a line for each attack, and the path of the report."""

from __future__ import annotations

from typing import Any


def print_result(result: Any, quiet: bool) -> None:
    """Print the result of a run; nothing but the path where it is to be quiet."""
    if not quiet:
        for name, scored in result.metrics["attacks"].items():
            print(f"{name:<14} {_in_words(scored)}")
    print(result.report)


def _in_words(scored: dict[str, Any]) -> str:
    """One attack's result: the leak where a game was played, else the paper's measure."""
    accuracy, leak = scored.get("accuracy"), scored.get("leak")
    if accuracy is None:
        return "finished; there is no truth to score it with"
    if not leak:
        return (
            f"{100 * accuracy['value']:5.1f} %  [{100 * accuracy['low']:.0f} to {100 * accuracy['high']:.0f}]  "
            f"of {accuracy['trials']} people rebuilt, SSIM {scored['mean']['ssim']:.2f}"
        )
    found = leak["chosen"]
    wins = found["wins"]
    won = f", better likeness for {wins['successes']} of {wins['trials']}" if wins else ""
    return (
        f"leak {100 * found['leak']['value']:+5.1f} points  "
        f"[{100 * found['leak']['low']:+.0f} to {100 * found['leak']['high']:+.0f}]  "
        f"rebuilt with their images {found['in']['successes']} of {found['in']['trials']}, "
        f"without {found['out']['successes']} of {found['out']['trials']}{won}"
    )
