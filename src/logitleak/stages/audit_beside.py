"""What stands beside the answers of an audit: rivals, estimates, and why there is none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from logitleak.audits.base import Asked, Audit, Played
from logitleak.files.storage import read_tensors
from logitleak.sealed.game import Game
from logitleak.stages.audit_truth import Truth
from logitleak.stages.folder import RunFolder
from logitleak.stages.identity import of_server
from logitleak.stages.lab import MockTwins
from logitleak.stages.seen import AskedAbout, Onlooker, Sight


def told(sight: Sight, answers: dict[str, Tensor]) -> dict[str, Tensor]:
    """The answers of one view without the rows of clients that are there for comparison alone."""
    for values in answers.values() if sight.aside else ():
        values[list(sight.aside)] = torch.nan
    return answers


def calibrated(about: Asked, twins: MockTwins, look: Onlooker, targets: Tensor) -> Asked:
    """The same question, with what an onlooker sees in the server's own federation: of the targets, whom nobody holds
    there, and of the people who played private ones.

    Args:
        about: the question.
        twins: the server's own federation.
        look: who looks.
        targets: int64 [T], the real ones.
    """
    lab, people = [], []
    for world, view in enumerate(twins.views):
        for sight in look.sights(view):  # type: ignore[arg-type]
            lab.append(AskedAbout(sight.view, targets))
            if twins.game.unit != "image":  # who misses one image holds the others
                seen = AskedAbout(sight.view, twins.game.units)
                people.append(Played(seen, *_sides(twins.game, world, sight)))
    return replace(about, lab=lab, people=people)


def _sides(game: Game, world: int, sight: Sight) -> tuple[Tensor, Tensor]:
    """Who of the people in a game was in and who was out at each client of a view, or in the data of all that it shows
    as one, bool [K, M] each. Of who holds a person beside the client that its coin is about, nothing is said."""
    coins, clients = game.coins[world], torch.tensor(list(sight.about))[:, None]
    mine = game.strata == clients
    inside, outside = mine & coins, ~coins & (mine | (game.unit == "person"))
    if sight.view.clients == len(sight.about):
        return inside, outside
    return inside.any(0, keepdim=True), outside.any(0, keepdim=True)


def unanswered(who: str, sees: str, why: str) -> dict[str, Any]:
    """What ``audit.json`` says of an onlooker who gets no answer."""
    return {"onlooker": who, "sees": sees, "refused": why, "primary": None, "variants": []}


def choices(folder: RunFolder, number: int, clients: int, rounds: int) -> dict[str, Tensor]:
    """What finished attacks say of who holds whom, as rivals: the scores by which each chose its image (Eq. 11), of a
    world after the last round, float64 [K, T]; higher is likelier, nan where a client gave nothing to choose."""
    found = {}
    for name in folder.attacks():
        last = folder.worlds[number].attack(name) / f"round-{rounds:02d}.safetensors"
        scores = read_tensors(last)["scores"].double() if last.exists() else torch.empty(0)
        if len(scores) == clients > 1:
            # a client of whom nothing came back has an infinite score there: nobody knows
            found[f"choice of the attack {name}"] = torch.where(scores.isfinite(), -scores, torch.nan)
    return found


def uncalibrated(twins: MockTwins | str, targets: Tensor) -> str | None:
    """Why scores are not calibrated by federations of the server's own; None where they are."""
    if isinstance(twins, str):
        return twins
    if bool(torch.isin(targets, twins.known.labels).any()):
        return "in the server's own federation clients hold the targets' classes, and it shows none that does not"
    return None


def estimate(audit: Audit, twins: MockTwins | str) -> dict[str, Any] | None:
    """The audit of identities in the server's own federation, where everything is known; None for other audits, and
    where there is none."""
    if isinstance(twins, str) or audit.answer != "membership":
        return None
    return of_server(audit, twins.views, Truth.of_mock(twins))
