"""How the server asks its clients, and the recorder that checks the answers and keeps what travelled."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from torch import Tensor

from logitleak.aggregation.base import Hiding
from logitleak.defenses.shield import Shield
from logitleak.errors import UserError
from logitleak.federation.answers import Form
from logitleak.federation.bank import ModelBank
from logitleak.federation.draws import NotDrawn
from logitleak.federation.sums import SimulatedSums, SumLost, Sums, had
from logitleak.schemes.base import Average, ClientContext, Scheme
from logitleak.text import printable
from logitleak.types import Absence, ClientData, Event, Payload

log = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")


class Sink(Protocol):
    """Where events go, for example a transcript on disk."""

    def write(self, event: Event) -> None: ...


@dataclass(frozen=True)
class ClientGroup:
    """Clients with one architecture: their bank, their numbers and their private data, in the same order."""

    bank: ModelBank
    clients: Sequence[int]
    data: Sequence[ClientData]

    def part(self, chosen: Collection[int]) -> ClientGroup:
        """Those of the clients that are chosen, with their models; this one where all are."""
        places = [place for place, client in enumerate(self.clients) if client in chosen]
        if len(places) == len(self.clients):
            return self
        clients, data = [self.clients[p] for p in places], [self.data[p] for p in places]
        return ClientGroup(self.bank.part(places), clients, data)


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

    def ask(
        self, action: str, round: int, message: Payload | None = None, only: Collection[int] | None = None
    ) -> Mapping[int, Payload]:
        """Have every client do a named action of the scheme, or some of them.

        Returns:
            the payload of each client that answered, by client number.
        """
        message = message or Payload()
        answers: dict[int, Payload] = {}
        for whole in self._groups:
            group = whole if only is None else whole.part(only)
            if group.clients:
                context = self._context.at(round, group.clients)
                payloads = self._scheme.actions[action](group.bank, group.data, message, context)
                answers.update(zip(group.clients, payloads, strict=True))
        for client, shield in self._shields.items():
            if client in answers:
                answers[client] = shield.guard(action, round, message, answers[client])
        return dict(sorted(answers.items()))

    def mean(self, action: str, round: int, average: Average, message: Payload | None = None) -> Tensor:
        """Have every client do a named action, and average what each answers; nothing is recorded or hidden."""
        return _averaged(self.ask(action, round, message), average)


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
        minimum: how many clients must answer validly, or all of whom anything was asked where these are fewer.
        hiding: what shows the mean of uploads and no single one, where all clients are in this process; None where
            each upload is seen.
        sums: the same where clients are elsewhere, each with its own keys.

    Attributes:
        asked: by action the last round in which clients were asked for it, whatever came back.
    """

    def __init__(
        self,
        transport: Transport,
        sink: Sink,
        form: Callable[[str, Payload], Form],
        minimum: int = 1,
        hiding: Hiding | None = None,
        sums: Sums | None = None,
    ) -> None:
        self._transport = transport
        self._sink = sink
        self._form = form
        self._minimum = minimum
        self._sums = sums if hiding is None else SimulatedSums(transport, form, hiding)
        self.asked: dict[str, int] = {}

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
        self.asked[action] = round
        sent, recorded = (message, message) if self._sums is None else self._sums.closed(message)
        received, absent, asked = self._apart(action, round, self._checked(action, round, sent))
        if self._sums is not None and any(payload.tensors for payload in received.values()):
            raise ValueError(
                f"the answers to {action} must not be seen one by one; a scheme asks for their mean"
            )
        self._sink.write(Event(round, action, recorded, received, absent))
        self._refuse_too_few(action, round, len(received), absent, min(self._minimum, asked))
        return received

    def mean(self, action: str, round: int, average: Average, message: Payload | None = None) -> Tensor:
        """Ask, check, record, and hand the mean of the valid answers on.

        Where single uploads are hidden, clients hold their own answers against the form and seal them. What is sealed
        is noise to everybody else, so that the mean is all that is recorded.

        Raises:
            TooFewClients: fewer than the minimum answered validly, or a single one where the mean is to hide it, or the
                mean was lost with a client.
        """
        if self._sums is None:
            return _averaged(self.ask(action, round, message), average)
        message = message or Payload()
        self.asked[action] = round
        sealed, absent, asked = self._apart(action, round, self._sums.collect(action, round, message))
        least = max(self._sums.least, min(self._minimum, asked))
        if len(sealed) < least:
            self._sink.write(Event(round, action, message, {}, absent))
        self._refuse_too_few(action, round, len(sealed), absent, least)
        try:
            summed = self._sums.mean(action, round, sealed, absent)
        except SumLost as lost:
            self._sink.write(Event(round, action, message, {}, absent))
            raise TooFewClients(
                f"The sum of {action} in round {round} is lost ({printable(str(lost), 400)})."
            ) from None
        seen = replace(summed, mean=had(summed.mean))
        self._sink.write(Event(round, action, message, {}, absent, seen))
        return _only(summed.mean)[1]

    def _checked(self, action: str, round: int, message: Payload) -> dict[int, Payload | Absence]:
        """What came back of each client, held against the form."""
        form, found = self._form(action, message), {}
        for client, reply in self._transport.ask(action, round, message).items():
            fault = None if isinstance(reply, Absence) else form.fault(reply)
            found[client] = reply if fault is None else Absence(fault)
        return found

    def _apart(
        self, action: str, round: int, replies: Mapping[int, _Answer | Absence]
    ) -> tuple[dict[int, _Answer], dict[int, str], int]:
        """The valid answers, why the others are missing, and of how many clients anything was asked."""
        received: dict[int, _Answer] = {}
        absent: dict[int, str] = {}
        asked = self.clients
        for client in range(self.clients):
            reply = replies.get(client, Absence("gave no answer"))
            if isinstance(reply, Absence):
                absent[client] = printable(reply.reason)
                if isinstance(reply, NotDrawn):
                    asked -= 1
                    continue
                log.warning("round %d, %s: client %d is absent: %s", round, action, client, absent[client])
            else:
                received[client] = reply
        return received, absent, asked

    def _refuse_too_few(
        self, action: str, round: int, answered: int, absent: Mapping[int, str], minimum: int
    ) -> None:
        if answered < minimum:
            reasons = "; ".join(f"client {k}: {reason}" for k, reason in absent.items())
            raise TooFewClients(
                f"{answered} of {self.clients} clients answered {action} in round {round} validly, and "
                f"{minimum} are needed ({printable(reasons, 400)})."
            )


def _averaged(answers: Mapping[int, Payload], average: Average) -> Tensor:
    return average([_only(payload)[1] for payload in answers.values()])


def _only(payload: Payload) -> tuple[str, Tensor]:
    """The only tensor of an answer, by name."""
    ((name, value),) = payload.tensors.items()
    return name, value
