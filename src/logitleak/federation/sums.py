"""Where uploads are summed: what the recorder asks of it, and the way of a simulation, which has all keys itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from logitleak.aggregation.base import Hiding, Sealed
from logitleak.federation.answers import Form
from logitleak.types import Absence, Payload, Summed


class SumLost(Exception):
    """The uploads came, and their sum cannot be had; the text says why in a few words."""


class Sums(Protocol):
    """Has clients seal their uploads, and gets the mean of these and no single one."""

    @property
    def least(self) -> int:
        """How many clients a sum is of, at least."""

    def collect(self, action: str, round: int, message: Payload) -> Mapping[int, Sealed | Absence]:
        """Have every client do a named action and seal what it would send, and say what came back of each."""

    def mean(
        self, action: str, round: int, sealed: Mapping[int, Sealed], absent: Mapping[int, str]
    ) -> Summed:
        """The mean of what was collected last.

        Args:
            action: which action it was.
            round: the round.
            sealed: what came, by client; `least` or more.
            absent: the other clients.

        Raises:
            SumLost: it cannot be had.
        """

    def closed(self, message: Payload) -> tuple[Payload, Payload]:
        """What travels of a message of the server's, and what is written down of it, where a mean is in it that the
        server does not have. Such a mean is a tensor without values, on the device "meta"."""


class Asks(Protocol):
    """Carries a message to all clients, and says for each client what came back, or why nothing did."""

    def ask(
        self, action: str, round: int, message: Payload | None = None
    ) -> Mapping[int, Payload | Absence]: ...


class SimulatedSums:
    """Sums of clients that are in this process: each answer is held against the form and sealed here.

    Args:
        transport: how clients are reached.
        form: from an action and its message to what a valid answer looks like.
        hiding: how they seal, with the keys of all.
    """

    least = 2

    def __init__(self, transport: Asks, form: Callable[[str, Payload], Form], hiding: Hiding) -> None:
        self._transport, self._form, self._hiding = transport, form, hiding

    def collect(self, action: str, round: int, message: Payload) -> Mapping[int, Sealed | Absence]:
        form = self._form(action, message)
        return {
            client: self._sealed(client, round, form, reply)
            for client, reply in self._transport.ask(action, round, message).items()
        }

    def mean(
        self, action: str, round: int, sealed: Mapping[int, Sealed], absent: Mapping[int, str]
    ) -> Summed:
        ((name, _),) = self._form(action, Payload()).tensors.items()
        mean = self._hiding.mean(round, sealed, list(absent))
        return Summed(Payload({name: mean}), {client: one.nbytes for client, one in sealed.items()})

    def closed(self, message: Payload) -> tuple[Payload, Payload]:
        return message, message

    def _sealed(self, client: int, round: int, form: Form, reply: Payload | Absence) -> Sealed | Absence:
        if isinstance(reply, Absence):
            return reply
        fault = form.fault(reply)
        if fault is not None:
            return Absence(fault)
        (values,) = reply.tensors.values()
        return self._hiding.seal(client, round, values)


def had(payload: Payload) -> Payload:
    """A message without the tensors whose values nobody here has."""
    tensors = {name: value for name, value in payload.tensors.items() if not value.is_meta}
    return Payload(tensors, payload.scalars)
