"""How much of each class a client holds, from what it says of public images.

Two readings of the same outputs. The *mean* of a client's softmax over public rows (the measure of arXiv 2502.08001)
bends toward what the client has seen; in its first upload it carries nobody else's data. *Against the others* divides
that by what the other clients say of the same rows, so that what the images themselves say, and what a consensus has
taught everybody, falls out: so later rounds can be used too. Ours is the geometric mean of the first upload's mean and
of all rounds against the others.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from logitleak.audits.base import Asked, Audit
from logitleak.types import ServerView

_LEAST = 1e-6
"""A share is never taken as less than this: its logarithm is used."""


class Shares(Audit):
    """Estimates the shares of the classes at every client; and what others would answer instead."""

    answer = "shares"
    question = "How much of each class does a client hold?"

    def probe(self, view: ServerView, asked: Asked) -> Mapping[str, Tensor]:
        """See `Audit.probe`: "combined" is ours; "mean softmax", averaged over rounds, "server" and "uniform" are
        rivals. Clients that never answered have nan."""
        rounds = [means(view, round) for round in range(1, view.rounds + 1)]
        unknown = torch.full((view.clients, view.knowledge.num_classes), torch.nan, dtype=torch.float64)
        found = {name: unknown.clone() for name in ("combined", "first upload", "mean softmax")}
        for client in range(view.clients):
            heard = [seen for seen in rounds if client in seen]
            if not heard:
                continue
            first = heard[0][client]
            found["first upload"][client] = first
            found["combined"][client] = _combined(first, [_against_others(seen, client) for seen in heard])
            found["mean softmax"][client] = torch.stack([seen[client] for seen in heard]).mean(0)
        return found | self._rivals(view)

    def _rivals(self, view: ServerView) -> dict[str, Tensor]:
        """What somebody would answer who looks at no client: all classes alike, and the server's own mean softmax."""
        classes = view.knowledge.num_classes
        found = {"uniform": torch.full((view.clients, classes), 1 / classes, dtype=torch.float64)}
        if "server_logits" in view.provides:
            own = view.server_logits(1).double().softmax(1).mean(0)
            found["server"] = own.expand(view.clients, classes).clone()
        return found


def means(view: ServerView, round: int) -> dict[int, Tensor]:
    """The mean softmax over the rows that it answered for, float64 [J], of every client that answered in a round."""
    found = {}
    for client in range(view.clients):
        rows, values = view.client_logits(client, round)
        if len(rows):
            found[client] = values.double().softmax(1).mean(0)
    return found


def _against_others(seen: Mapping[int, Tensor], client: int) -> Tensor | None:
    """A client's mean relative to the geometric mean of all, as shares [J]; None where nobody else answered."""
    if len(seen) < 2:
        return None
    logs = torch.stack(list(seen.values())).clamp_min(_LEAST).log()
    return (seen[client].clamp_min(_LEAST).log() - logs.mean(0)).softmax(0)


def _combined(first: Tensor, against: list[Tensor | None]) -> Tensor:
    """The geometric mean of the first upload's shares and of the mean over rounds of those against the others."""
    logs = [first.clamp_min(_LEAST).log()]
    if known := [one.clamp_min(_LEAST).log() for one in against if one is not None]:
        logs.append(torch.stack(known).mean(0))
    return torch.stack(logs).mean(0).softmax(0)
