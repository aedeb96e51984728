"""The server's half of a sum, as far as it is the same for all: who has keys, what sealed uploads look like, and how
they are collected. It sees public keys and what is sealed, and no key that opens anything."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping

import torch

from logitleak.aggregation.base import Hiding, Sealed
from logitleak.deploy.sums.steps import FAULT, KEYS, PUBLIC_KEY, ROSTER, SEALED, STEPS, majority
from logitleak.federation.answers import Form, Shape
from logitleak.federation.channel import TooFewClients
from logitleak.federation.draws import Reach
from logitleak.federation.sums import SumLost
from logitleak.text import printable
from logitleak.types import Absence, Payload, Summed

log = logging.getLogger(__name__)

Forms = Callable[[str, Payload], Form]


class RemoteSums(ABC):
    """Sums of clients that are elsewhere, each with its own keys.

    Args:
        hiding: how values are sealed; the server asks it for sizes, and for no secret.
        form: from an action of the scheme and its message to what a valid upload looks like.
        drawn: how many clients take part in each round; None for all.

    Attributes:
        roster: the clients that agreed on keys; `agree` fills it.
    """

    def __init__(self, hiding: Hiding, form: Forms, drawn: int | None = None) -> None:
        self.hiding, self._scheme_form = hiding, form
        self.clients = hiding.clients
        self.drawn = self.clients if drawn is None else drawn
        self.roster: list[int] = []
        self._left_out: dict[int, str] = {}
        self._reach: Reach | None = None

    @property
    def least(self) -> int:
        """How many clients a sum is of, at least: clients open none of fewer."""
        return majority(self.clients)

    @abstractmethod
    def sent(self, values: int) -> int:
        """How many bytes one client sends for a sum of so many values, where nobody is absent who was drawn."""

    def said_beforehand(self, values: int) -> str:
        """How much one client sends for a sum of so many values, in a sentence."""
        sent = self.sent(values)
        return (
            f"each client sends {sent:,} bytes for a sum, {sent / (4 * values):.1f} times those of {values:,} plain "
            "numbers"
        )

    def form(self, action: str, message: Payload) -> Form:
        """What a valid answer looks like, to a step of the sum or to an action of the scheme: what would be seen there
        is sealed here."""
        if action == KEYS:
            return Form({"key": PUBLIC_KEY})
        if action in STEPS:
            return self._step_form(action, message)
        open_form = self._scheme_form(action, message)
        return Form({SEALED: self._sealed_form(open_form)}) if open_form.tensors else open_form

    def agree(self, reach: Reach) -> None:
        """Have all clients agree on keys, before the first round. Who is not there then is in no sum.

        Raises:
            TooFewClients: so few have keys that no sum could be had.
        """
        self._reach = reach
        keys = self._valid(KEYS, 0, Payload(), range(self.clients))
        self._enough(keys)
        table = torch.stack([keys[client].tensors["key"] for client in keys])
        message = Payload({"clients": torch.tensor(list(keys)), "keys": table})
        self.roster = list(keys)
        self._enough(self._valid(ROSTER, 0, message, self.roster))
        self._prepare()
        log.info("%d of %d clients agreed on keys", len(self._ready()), self.clients)

    def collect(self, action: str, round: int, message: Payload) -> Mapping[int, Sealed | Absence]:
        """See `Sums.collect`."""
        asked = self._ready()
        wanted = self.form(action, message)
        shape = _only(self._scheme_form(action, message))[1]
        replies = self.reach.ask(action, round, message, only=asked)
        found: dict[int, Sealed | Absence] = {k: Absence(why) for k, why in self._left_out.items()}
        for client in asked:
            reply = checked(replies.get(client), wanted)
            found[client] = reply if isinstance(reply, Absence) else self._taken(reply, shape)
        return found

    @abstractmethod
    def mean(
        self, action: str, round: int, sealed: Mapping[int, Sealed], absent: Mapping[int, str]
    ) -> Summed:
        """See `Sums.mean`."""

    def closed(self, message: Payload) -> tuple[Payload, Payload]:
        """See `Sums.closed`."""
        return message, message

    @property
    def reach(self) -> Reach:
        """How clients are reached."""
        assert self._reach is not None  # `agree` comes first
        return self._reach

    @abstractmethod
    def _sealed_form(self, form: Form) -> Shape:
        """The form of what is sent in place of an upload of this form."""

    @abstractmethod
    def _step_form(self, action: str, message: Payload) -> Form:
        """The form of an answer to a step."""

    @abstractmethod
    def _taken(self, reply: Payload, shape: Shape) -> Sealed | Absence:
        """What a client sealed, or what can be seen to be wrong with it."""

    def _ready(self) -> list[int]:
        """The clients that have all keys that they need."""
        return [client for client in self.roster if client not in self._left_out]

    def _prepare(self) -> None:
        """What is to be done once all have each other's keys."""
        return None

    def _tensor(self, action: str) -> str:
        """What the scheme calls an upload."""
        return _only(self._scheme_form(action, Payload()))[0]

    def _whole_sum(self, total: int, count: int) -> None:
        """Look whether the largest of a sum could be one of so many uploads.

        Raises:
            SumLost: somebody sent what is no upload, or sealed it with other keys.
        """
        if total > count * self.hiding.numbers.limit:
            raise SumLost(
                "what the clients sealed adds up to nothing: one of them has other keys, or sent no upload"
            )

    def _valid(self, action: str, round: int, message: Payload, only: Collection[int]) -> dict[int, Payload]:
        """The valid answers to a step before the first round; whoever gives none is left out of all sums."""
        wanted, replies = self.form(action, message), self.reach.ask(action, round, message, only=only)
        valid = {}
        for client in only:
            reply = checked(replies.get(client), wanted)
            if isinstance(reply, Absence):
                self._left_out[client] = f"agreed on no keys: {printable(reply.reason)}"
                log.warning("client %d is in no sum: it %s", client, self._left_out[client])
            else:
                valid[client] = reply
        return valid

    def _all(self, action: str, round: int, message: Payload, only: Collection[int]) -> dict[int, Payload]:
        """Everybody's answer to a step of a round.

        Raises:
            SumLost: one is missing; the text names the client.
        """
        wanted, replies = self.form(action, message), self.reach.ask(action, round, message, only=only)
        found = {}
        for client in only:
            reply = checked(replies.get(client), wanted)
            if isinstance(reply, Absence):
                raise SumLost(f"client {client} was in it and did not help to open it: {reply.reason}")
            found[client] = reply
        return found

    def _enough(self, clients: Collection[int]) -> None:
        if len(clients) < self.least:
            reasons = "; ".join(f"client {k} {why}" for k, why in self._left_out.items())
            raise TooFewClients(
                f"{len(clients)} of {self.clients} clients agreed on keys, and {self.least} are needed "
                f"({printable(reasons, 400)})."
            )


def checked(reply: Payload | Absence | None, form: Form) -> Payload | Absence:
    """An answer that has the form, or what is wrong."""
    if reply is None:
        return Absence("gave no answer")
    if isinstance(reply, Absence):
        return reply
    said = reply.scalars.get(FAULT)
    if isinstance(said, str) and not reply.tensors:
        return Absence(said)
    fault = form.fault(reply)
    return reply if fault is None else Absence(fault)


def _only(form: Form) -> tuple[str, Shape]:
    """The only tensor of an upload, by name."""
    ((name, shape),) = form.tensors.items()
    return name, shape
