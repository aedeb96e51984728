"""Who may look at a federation, and what each of them sees: from every upload down to what one client gets back.

Whoever sees uploads, or a sum of them, knows of the clients' defenses and undoes what can be undone. Who sees hard
labels, or gets what the server sends to clients, sees it as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from logitleak.attacks.differences import DifferencesView, isolated
from logitleak.attacks.views import HardLabels, LastRound, SumView, ViewOf
from logitleak.stages.knowing import as_read, undoable
from logitleak.types import ServerView, as_logits
from logitleak.wire.transcript import Transcript


@dataclass(frozen=True)
class Sight:
    """One view of a world.

    Attributes:
        view: what is seen.
        about: the clients that are asked about with it: its own clients one by one, or, where it shows only one
            "client", those whose data are in that.
        aside: clients of the view that others are compared with, and of which it tells nothing itself.
    """

    view: ServerView
    about: Sequence[int]
    aside: Sequence[int] = ()


@dataclass(frozen=True)
class Onlooker:
    """Somebody who looks.

    Attributes:
        sees: what, in a sentence.
        sights: from a transcript to views that together ask about every client once; none where there is nothing to
            see.
        nothing: what is said where there is nothing to see; None where the onlooker is then left out.
    """

    sees: str
    sights: Callable[[Transcript], list[Sight]]
    nothing: Callable[[Transcript], str | None] = lambda view: None


def parties(view: ServerView) -> range:
    """The clients whose data are in what a view shows."""
    while isinstance(view, ViewOf):
        view = view.inner
    return range(view.parties if isinstance(view, Transcript) else view.clients)


def _everybody(view: ServerView) -> list[Sight]:
    return [Sight(as_read(view), parties(view))]


def _as_sent(view: ServerView) -> list[Sight]:
    return [Sight(view, parties(view))]


def _sum(view: Transcript) -> list[Sight]:
    return [Sight(as_read(SumView(view)), range(view.clients))] if view.clients > 1 else []


def _half_colluding(view: Transcript) -> list[Sight]:
    """Two groups of clients; each is asked about while the other colludes."""
    if view.clients < 4:
        return []
    groups = [range(0, view.clients // 2), range(view.clients // 2, view.clients)]
    return [Sight(as_read(SumView(view, group)), group) for group in groups]


def taking_part(view: Transcript) -> Tensor:
    """Who has outputs in which round's sum, bool [T, K]: the server, which sums, knows who answered. Where everybody
    always did, no upload is read to see of how many rows."""
    found = torch.ones(view.rounds, view.parties, dtype=torch.bool)
    for round in range(1, view.rounds + 1):
        absent = view.absent(round).get(view.manifest.uploads.action, {})
        found[round - 1, list(absent)] = False
    if bool(found.all()):
        return found
    for index, client in torch.nonzero(found).tolist():
        seen = 0 if view.summed else client
        found[index, client] = len(view.client_logits(seen, index + 1)[0]) > 0
    return found


def _differences(view: Transcript) -> list[Sight]:
    """Every client's outputs as differences of sums show them; those of whom none does stand aside."""
    members = taking_part(view)
    alone = isolated(members)
    if not bool(alone.any()):
        return []
    means = view if view.summed else SumView(view)
    aside = torch.nonzero(~alone).flatten().tolist()
    return [Sight(DifferencesView(as_read(means), members), range(view.parties), aside)]


def _nothing_to_subtract(view: Transcript) -> str | None:
    """Why there is no difference that tells something of few clients."""
    if view.parties < 2:
        return None
    members = taking_part(view)
    if bool(isolated(members).any()):
        return None
    heard = members[members.any(1)]
    if bool((heard == heard[:1]).all()):
        return "The sums of all rounds are of the same clients, so there is nothing to subtract."
    return "No difference of sums cuts out a client, or a group of at most half of them."


def _curious(view: Transcript) -> list[Sight]:
    """Every client is asked about by the next one."""
    if view.clients < 2 or not any(
        _sent_outputs(view, round) is not None for round in range(1, view.rounds + 1)
    ):
        return []
    return [Sight(ClientView(view, (k + 1) % view.clients), [k]) for k in range(view.clients)]


ONLOOKERS: dict[str, Onlooker] = {
    "server": Onlooker("Every client's upload of every round, and who sent it.", _everybody),
    "last round": Onlooker(
        "Every client's upload of the last round alone.", lambda view: _everybody(LastRound(view))
    ),
    "hard labels": Onlooker(
        "Of every client's outputs the likeliest class alone.", lambda view: _as_sent(HardLabels(view))
    ),
    "sum, half colluding": Onlooker(
        "The sum of all uploads, as behind secure aggregation; half of the clients collude and tell their own. With "
        "all others colluding the sum is the client's upload.",
        _half_colluding,
    ),
    "sum": Onlooker("The sum of all uploads alone, as behind secure aggregation.", _sum),
    "sum, last round": Onlooker(
        "The sum of the last round's uploads alone.",
        lambda view: [Sight(LastRound(one.view), one.about) for one in _sum(view)],
    ),
    "sums, differences": Onlooker(
        "The sums alone, and who took part in each: differences of rounds with other absentees. It is about the "
        "clients that these cut out.",
        _differences,
        _nothing_to_subtract,
    ),
    "another client": Onlooker(
        "What one other client gets: the consensus of every round; and what it said itself before.", _curious
    ),
}
"""By name, from the one that sees most."""

ONLOOKERS_OF_MEANS: dict[str, Onlooker] = {
    "server": Onlooker("The mean of all uploads of every round, and no single one.", _everybody),
    "last round": Onlooker("The mean of the last round's uploads.", lambda view: _everybody(LastRound(view))),
    "differences": Onlooker(
        "The means, and who took part in each: differences of rounds with other absentees. It is about the "
        "clients that these cut out.",
        _differences,
        _nothing_to_subtract,
    ),
}
"""The same for transcripts that hold means alone: of single uploads there is nothing to be seen."""


UNKNOWING = Onlooker(
    "The same, and knows of no defense: it reads what clients send as it comes.", lambda view: _as_sent(view)
)
"""Who stands beside the server, for comparison, where something of the defenses can be undone."""


def onlookers_of(view: Transcript) -> dict[str, Onlooker]:
    """Who may look at a federation of this kind."""
    usual = ONLOOKERS_OF_MEANS if view.summed else ONLOOKERS
    if not undoable(view):
        return usual
    first, *others = usual
    return {first: usual[first], f"{first}, uploads as sent": UNKNOWING} | {who: usual[who] for who in others}


class AskedAbout(ViewOf):
    """The same federation, asked about other targets.

    Args:
        view: the federation.
        targets: int64 [T], ascending.
    """

    def __init__(self, view: ServerView, targets: Tensor) -> None:
        super().__init__(view)
        self.knowledge = replace(view.knowledge, target_labels=targets)


class ClientView(ViewOf):
    """What a curious client sees of all the others: the outputs on the public set that the server sent out, as those of
    one client; and what it first said of each row itself, in the server's place: before it learnt that from anybody.

    Args:
        view: the transcript.
        client: who looks.
    """

    def __init__(self, view: Transcript, client: int) -> None:
        super().__init__(view)
        self.inner: Transcript = view
        self.client = client
        self.clients = 1
        self.provides = view.provides | {"server_logits"}

    def client_logits(self, client: int, round: int) -> tuple[Tensor, Tensor]:
        """What was sent out in a round, on the rows that the curious client answered for itself."""
        sent = _sent_outputs(self.inner, round)
        rows, _ = self.inner.client_logits(self.client, round)
        if sent is None:
            return rows[:0], torch.empty(0, self.knowledge.num_classes)
        return rows, sent[rows]

    def server_logits(self, round: int) -> Tensor:
        """What the curious client said of each row when it first answered for it, float32 [N, J]; zeros where it never
        did."""
        own = torch.zeros(len(self.knowledge.public), self.knowledge.num_classes)
        unsaid = torch.ones(len(own), dtype=torch.bool)
        for asked in range(1, self.rounds + 1):
            rows, values = self.inner.client_logits(self.client, asked)
            new = unsaid[rows]
            own[rows[new]] = values[new]
            unsaid[rows] = False
            if not bool(unsaid.any()):
                break
        return own


def _sent_outputs(view: Transcript, round: int) -> Tensor | None:
    """The outputs on the whole public set that the server sent to clients in a round, as logits; None where there are
    none."""
    shape = (len(view.knowledge.public), view.knowledge.num_classes)
    for action in view.actions(round):
        payload = view.sent(action, round)
        for value in payload.tensors.values() if payload is not None else ():
            if tuple(value.shape) == shape and value.is_floating_point():
                return as_logits(value.to(torch.float32), view.upload_kind)
    return None
