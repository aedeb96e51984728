"""Partial participation: some clients are drawn for each round, and the others are left alone in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Protocol

import torch

from logitleak.formats.federation import NOT_DRAWN
from logitleak.schemes.base import Epochs, Scheme
from logitleak.seeds import derive
from logitleak.types import Absence, Payload


@dataclass(frozen=True)
class NotDrawn(Absence):
    """A client of whom nothing was asked in a round. That is nobody's fault, and no client too few."""

    reason: str = NOT_DRAWN


class Reach(Protocol):
    """Carries a message to all clients or to some, and says for each what came back, or why nothing did."""

    @property
    def clients(self) -> int: ...

    def ask(
        self, action: str, round: int, message: Payload | None = None, only: Collection[int] | None = None
    ) -> Mapping[int, Payload | Absence]: ...


def participants(round: int, clients: int, drawn: int, seed: int) -> Collection[int]:
    """Who takes part in a round: everybody before round 1, and so many clients in every other round.

    They depend on seed and round alone, so that they are the same in all twin worlds and after an interruption.

    Args:
        round: from 1; 0 before the first.
        clients: K.
        drawn: how many in each round.
        seed: the root seed.
    """
    if round == 0:
        return range(clients)
    order = torch.randperm(clients, generator=derive(seed, "participation", round))
    return sorted(order[:drawn].tolist())


class DrawnTransport:
    """A way to the clients that are drawn for a round; the others hear nothing of it.

    Args:
        inner: the way to all clients.
        drawn: how many are drawn.
        seed: the root seed.
    """

    def __init__(self, inner: Reach, drawn: int, seed: int) -> None:
        self._inner, self._drawn, self._seed = inner, drawn, seed
        self.clients = inner.clients

    def ask(
        self, action: str, round: int, message: Payload | None = None, only: Collection[int] | None = None
    ) -> Mapping[int, Payload | Absence]:
        """Pass it on to those of them who are drawn; see `Reach.ask`."""
        drawn = participants(round, self.clients, self._drawn, self._seed)
        wanted = range(self.clients) if only is None else only
        here = [client for client in wanted if client in drawn]
        answers: dict[int, Payload | Absence] = {client: NotDrawn() for client in wanted}
        answers.update(self._inner.ask(action, round, message, here))
        return answers


def drawn_from(inner: Reach, drawn: int, seed: int) -> Reach:
    """The way to those who are drawn for a round; ``inner`` where everybody always is. See `DrawnTransport`."""
    return DrawnTransport(inner, drawn, seed) if drawn < inner.clients else inner


def planned(scheme: Scheme, clients: int, rounds: int, drawn: int) -> Epochs:
    """How long all models train in all where so many clients are drawn for each round.

    What a scheme plans grows by the same for every client after the first: that of those who are not drawn is taken
    off, but for what comes before round 1.

    Args:
        scheme: with its settings.
        clients: K.
        rounds: T.
        drawn: how many clients take part in a round.
    """
    everybody = scheme.planned_epochs(clients, rounds)
    if drawn == clients:
        return everybody
    one_more, before = scheme.planned_epochs(clients + 1, rounds), scheme.planned_epochs(clients, 0)
    one_more_before = scheme.planned_epochs(clients + 1, 0)

    def fewer(name: str) -> int:
        each: int = getattr(one_more, name) - getattr(everybody, name)
        each -= getattr(one_more_before, name) - getattr(before, name)
        left: int = getattr(everybody, name) - (clients - drawn) * each
        return left

    return Epochs(**{field.name: fewer(field.name) for field in fields(Epochs)})
