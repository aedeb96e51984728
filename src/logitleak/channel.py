"""How the server asks its clients, and the recorder that keeps what travelled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from logitleak.bank import ModelBank
from logitleak.schemes.base import ClientContext, Scheme
from logitleak.truth import ClientData
from logitleak.types import Event, Payload


class Sink(Protocol):
    """Where events go, for example a transcript on disk."""

    def write(self, event: Event) -> None: ...


@dataclass(frozen=True)
class ClientGroup:
    """Clients with one architecture: their bank, their numbers and their private data, in the same order."""

    bank: ModelBank
    clients: Sequence[int]
    data: Sequence[ClientData]


class InProcessChannel:
    """All clients in this process, one bank for each architecture."""

    def __init__(self, scheme: Scheme, groups: Sequence[ClientGroup], context: ClientContext) -> None:
        self._scheme = scheme
        self._groups = groups
        self._context = context

    @property
    def clients(self) -> int:
        """K, the number of clients."""
        return sum(len(group.clients) for group in self._groups)

    def ask(self, action: str, round: int, message: Payload | None = None) -> Mapping[int, Payload]:
        """Have every client do a named action of the scheme.

        Returns:
            the payload of each client that answered, by client number.
        """
        message = message or Payload()
        answers: dict[int, Payload] = {}
        for group in self._groups:
            context = self._context.at(round, group.clients)
            payloads = self._scheme.actions[action](group.bank, group.data, message, context)
            answers.update(zip(group.clients, payloads, strict=True))
        return dict(sorted(answers.items()))


class Recorder:
    """A channel that writes down every exchange that goes through it."""

    def __init__(self, channel: InProcessChannel, sink: Sink) -> None:
        self._channel = channel
        self._sink = sink

    @property
    def clients(self) -> int:
        """K, the number of clients."""
        return self._channel.clients

    def ask(self, action: str, round: int, message: Payload | None = None) -> Mapping[int, Payload]:
        """Ask, record, and hand the answers on."""
        answers = self._channel.ask(action, round, message)
        self._sink.write(Event(round, action, message or Payload(), answers))
        return answers
