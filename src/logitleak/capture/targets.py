"""The targets of a capture: that they are labels, that each has one owner, and that nobody was both in and out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from logitleak.capture.description import Description
from logitleak.capture.findings import Findings, listed
from logitleak.capture.parts import Client, Game


def check_targets(description: Description, findings: Findings) -> None:
    """Find what is wrong with the targets, their owners and the game."""
    numbers = [description.label_of(target) for target in description.targets]
    for given, number in zip(description.targets, numbers, strict=True):
        if number is None:
            findings.error("targets", f'{given!r:.100} is no number, and "names" has none such.')
        elif number >= description.classes:
            findings.error(
                "targets", f"{given!r:.100} is out of range: labels are 0 to {description.classes - 1}."
            )
    if len(set(numbers)) < len(numbers):
        findings.error("targets", "a target is named twice.")
    private = description.private
    if private is not None and private.owners is not None:
        _check_owners(description, numbers, private.owners, findings)
    if private is not None and private.game is not None:
        _check_game(description, numbers, private.game, findings)


def _check_owners(
    description: Description,
    numbers: Sequence[int | None],
    owners: dict[str, Client | int],
    findings: Findings,
) -> None:
    owned = {target: description.label_of(target) for target in owners}
    known, times = set(numbers), Counter(owned.values())
    if wrong := sorted(target for target, n in owned.items() if n not in known):
        findings.error("private.owners", f"{listed(wrong)}: no target is called like that.")
    if missing := [str(t) for t, n in zip(description.targets, numbers, strict=True) if n not in times]:
        findings.error(
            "private.owners", f"says not who owns target {listed(missing)}; name all of them, or none."
        )
    if twice := [target for target, n in owned.items() if n is not None and times[n] > 1]:
        findings.error("private.owners", f"{listed(twice)} are the same target; name its owner once.")
    clients = set(description.client_names)
    if strangers := sorted({str(client) for client in owners.values()} - clients):
        findings.error("private.owners", f"{listed(strangers)}: no client is called like that.")


def _check_game(
    description: Description, numbers: Sequence[int | None], game: Game, findings: Findings
) -> None:
    """Every unit is a target, and on one side only. That there are images of it is checked as of any target."""
    known, sides = set(numbers), {"in": game.inside, "out": game.outside}
    times = {side: Counter(map(description.label_of, given)) for side, given in sides.items()}
    for side, given in sides.items():
        where = f"private.game.{side}"
        units = [(str(target), description.label_of(target)) for target in given]
        if wrong := [target for target, number in units if number is None or number not in known]:
            findings.error(where, f"{listed(wrong)}: no target is called like that.")
        if twice := sorted({target for target, n in units if n in known and times[side][n] > 1}):
            findings.error(where, f"{listed(twice)}: named twice; name each target once.")
    both = [str(n) for n in numbers if n is not None and all(n in count for count in times.values())]
    if both:
        findings.error(
            "private.game", f"target {listed(both)} is both in and out; nobody can be on two sides."
        )
