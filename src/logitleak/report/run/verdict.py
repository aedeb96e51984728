"""The verdict in plain words, from the numbers alone: what the private images changed, or how little can be said."""

from __future__ import annotations

from logitleak.report.parts.games import game
from logitleak.report.parts.load import Run
from logitleak.report.parts.words import Verdict, accuracy, listed, nature
from logitleak.report.run import leak_verdict, likeness


def judge(run: Run) -> Verdict:
    """Grade the run: by the leak where a game was played, else by the likeness and what could explain it."""
    if not run.audited:
        headline = f"No attack was run, so this report says nothing about what the {run.shared} leak."
        return Verdict("none", "No attack", headline, [nature(run)])
    played = game(run)
    if played and (verdict := leak_verdict.judge(run, played)):
        return verdict
    if any(accuracy(attack) for attack in run.audited):
        return likeness.judge(run, unfinished=played is not None)
    headline = (
        f"The server ran {listed([attack.name for attack in run.audited])} and has its reconstructions, but "
        "without the truth nobody can say here how good they are."
    )
    return Verdict("none", "Not judged", headline, [nature(run)])
