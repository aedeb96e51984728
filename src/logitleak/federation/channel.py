"""How the server asks its clients, and the recorder that checks the answers and keeps what travelled."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from logitleak.defenses.shield import Shield
from logitleak.errors import UserError
from logitleak.federation.answers import Form
from logitleak.federation.bank import ModelBank
from logitleak.schemes.base import ClientContext, Scheme
from logitleak.text import printable
from logitleak.types import Absence, ClientData, Event, Payload

log = logging.getLogger(__name__)


class Sink(Protocol):
    """Where events go, for example a transcript on disk."""

    def write(self, event: Event) -> None: ...


@dataclass(frozen=True)
class ClientGroup:
    """Clients with one architecture: their bank, their numbers and their private data, in the same order."""

    bank: ModelBank
    clients: Sequence[int]
    data: Sequence[ClientData]


def predictions(groups: Sequence[ClientGroup], images: Tensor) -> Iterator[tuple[int, Tensor]]:
    """What every client's model says of images uint8 [n, 3, H, W]: its number and its logits [n, J], group by group."""
    for group in groups:
        yield from zip(group.clients, group.bank.predict_each(images), strict=True)


class InProcessChannel:
    """All clients in this process, one bank for each architecture.

    Args:
        scheme: what is played.
        groups: the clients.
        context: what their actions may use besides.
        shields: what stands between some clients and the server, by client.
    """

    def __init__(
        self,
        scheme: Scheme,
        groups: Sequence[ClientGroup],
        context: ClientContext,
        shields: Mapping[int, Shield] | None = None,
    ) -> None:
        self._scheme = scheme
        self._groups = groups
        self._context = context
        self._shields = shields or {}

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
        for client, shield in self._shields.items():
            answers[client] = shield.guard(action, round, message, answers[client])
        return dict(sorted(answers.items()))


class Transport(Protocol):
    """Carries a message to all clients, and says for each client what came back, or why nothing did."""

    @property
    def clients(self) -> int: ...

    def ask(
        self, action: str, round: int, message: Payload | None = None
    ) -> Mapping[int, Payload | Absence]: ...


class TooFewClients(UserError):
    """So few clients answered that the federation cannot go on."""


class Recorder:
    """The channel that a scheme is served with: it checks every answer before anybody uses it, goes on with the
    clients whose answer is valid, and writes down what travelled and who was missing.

    Args:
        transport: how clients are reached.
        sink: where events go.
        form: from an action and its message to what a valid answer looks like.
        minimum: how many clients must answer validly.
    """

    def __init__(
        self, transport: Transport, sink: Sink, form: Callable[[str, Payload], Form], minimum: int = 1
    ) -> None:
        self._transport = transport
        self._sink = sink
        self._form = form
        self._minimum = minimum

    @property
    def clients(self) -> int:
        """K, the number of clients."""
        return self._transport.clients

    def ask(self, action: str, round: int, message: Payload | None = None) -> Mapping[int, Payload]:
        """Ask, check, record, and hand the valid answers on.

        Raises:
            TooFewClients: fewer than the minimum answered validly.
        """
        message = message or Payload()
        replies = self._transport.ask(action, round, message)
        form = self._form(action, message)
        received: dict[int, Payload] = {}
        absent: dict[int, str] = {}
        for client in range(self.clients):
            reply = replies.get(client, Absence("gave no answer"))
            fault = reply.reason if isinstance(reply, Absence) else form.fault(reply)
            if fault is not None:
                absent[client] = printable(fault)
                log.warning("round %d, %s: client %d is absent: %s", round, action, client, absent[client])
            elif isinstance(reply, Payload):
                received[client] = reply
        self._sink.write(Event(round, action, message, received, absent))
        if len(received) < self._minimum:
            reasons = "; ".join(f"client {k}: {reason}" for k, reason in absent.items())
            raise TooFewClients(
                f"{len(received)} of {self.clients} clients answered {action} in round {round} validly, and "
                f"{self._minimum} are needed ({printable(reasons, 400)})."
            )
        return received
