"""The server behind encryption: it hands on boxes that it cannot open, and adds ciphertexts that it cannot read."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping

import torch

from logitleak.aggregation.agreement import KEY_BYTES, LOCK_BYTES
from logitleak.aggregation.base import Sealed
from logitleak.aggregation.ckks import CKKS
from logitleak.aggregation.encryption import LENGTH_BYTES, BadCiphertext
from logitleak.deploy.sums.server import Forms, RemoteSums, checked
from logitleak.deploy.sums.steps import CLOSED, DEAL, OPEN, SEALED, TAKE, of_bytes, to_array, to_tensor
from logitleak.errors import UserError
from logitleak.federation.answers import Form, Shape
from logitleak.federation.sums import SumLost, had
from logitleak.text import printable
from logitleak.types import Absence, Payload, Summed

log = logging.getLogger(__name__)


class EncryptedSums(RemoteSums):
    """Sums of `CKKS` whose key is the clients' own. The context in which the server adds is made of the settings alone,
    so that no context of a client's, with or without its key, ever reaches the server.

    Args:
        hiding: how values are encrypted.
        form: see `RemoteSums`.
    """

    hiding: CKKS

    def __init__(self, hiding: CKKS, form: Forms) -> None:
        super().__init__(hiding, form)
        self._encryption = hiding.encryption
        self._adder = self._encryption.adder()
        self._closed: tuple[torch.Tensor, Payload] = torch.empty(0, device="meta"), Payload()

    def sent(self, values: int) -> int:
        told = values * torch.float32.itemsize if self.hiding.seen_by == "server" else 0
        return self._encryption.chunks(values) * self._encryption.row_bytes + told

    def mean(
        self, action: str, round: int, sealed: Mapping[int, Sealed], absent: Mapping[int, str]
    ) -> Summed:
        here, shape = sorted(sealed), next(iter(sealed.values())).shape
        added = self._encryption.added(self._adder, [sealed[client].parts for client in here])
        message = Payload(
            {"sum": to_tensor(self._encryption.packed(added))},
            {"count": len(here), "rows": shape[0], "classes": shape[1]},
        )
        sizes = dict.fromkeys(here, len(added) * self._encryption.row_bytes)
        if self.hiding.seen_by == "client":
            self._closed = torch.empty(shape, device="meta"), message
            return Summed(Payload({self._tensor(action): self._closed[0]}), sizes)
        means = self._told(round, message, here)
        for client in means:
            sizes[client] += means[client].nbytes
        return Summed(Payload({self._tensor(action): _agreed(means)}), sizes)

    def closed(self, message: Payload) -> tuple[Payload, Payload]:
        names = [name for name, value in message.tensors.items() if value.is_meta]
        if not names:
            return super().closed(message)
        (name,), (mean, closed) = names, self._closed
        if message.tensors[name] is not mean:
            raise UserError(
                "The server of this scheme computes with the mean, and does not have it; set "
                "federation.aggregation.settings.server=participant."
            )
        others = had(message)
        sent = Payload(
            {**others.tensors, **closed.tensors}, {**others.scalars, **closed.scalars, CLOSED: name}
        )
        return sent, Payload(others.tensors, {**others.scalars, CLOSED: name})

    def _told(self, round: int, message: Payload, here: list[int]) -> dict[int, torch.Tensor]:
        """The mean as the clients decrypted it, of each that says it.

        Raises:
            SumLost: none does.
        """
        wanted, replies = self.form(OPEN, message), self.reach.ask(OPEN, round, message, only=here)
        means, why = {}, ""
        for client in here:
            reply = checked(replies.get(client), wanted)
            if isinstance(reply, Absence):
                why = printable(reply.reason)
                log.warning("round %d: client %d did not decrypt the sum: %s", round, client, why)
            else:
                means[client] = reply.tensors["mean"]
        if not means:
            raise SumLost(f"no client decrypted it: {why}")
        return means

    def _prepare(self) -> None:
        """Have one client deal the key of all, and the others take it."""
        for dealer in self._ready():
            dealt = self._valid(DEAL, 0, Payload(), [dealer])
            if dealt:
                message = Payload(dealt[dealer].tensors, {"dealer": dealer})
                self._valid(TAKE, 0, message, [client for client in self._ready() if client != dealer])
                break
        self._enough(self._ready())

    def _sealed_form(self, form: Form) -> Shape:
        (shape,) = form.tensors.values()
        values = torch.Size(shape.sizes).numel()
        return of_bytes(self._encryption.chunks(values), self._encryption.row_bytes)

    def _step_form(self, action: str, message: Payload) -> Form:
        if action == DEAL:
            box = of_bytes(LENGTH_BYTES + self._encryption.context_bytes + LOCK_BYTES)
            return Form({"box": box, "openers": of_bytes(len(self.roster) - 1, KEY_BYTES + LOCK_BYTES)})
        if action == OPEN:
            rows, classes = (int(message.scalars[name]) for name in ("rows", "classes"))
            return Form({"mean": Shape(torch.float32, (rows, classes))})
        return Form()

    def _taken(self, reply: Payload, shape: Shape) -> Sealed | Absence:
        try:
            chunks = self._encryption.unpacked(to_array(reply.tensors[SEALED]))
            self._encryption.check(self._adder, chunks, torch.Size(shape.sizes).numel())
        except BadCiphertext as bad:
            return Absence(f"{SEALED} {bad}")
        return Sealed(chunks, shape.sizes)


def _agreed(means: Mapping[int, torch.Tensor]) -> torch.Tensor:
    """The mean that most clients decrypted, to the bit.

    Raises:
        SumLost: there is no such mean.
    """
    digests = {client: mean.numpy().tobytes() for client, mean in means.items()}
    ((most, count),) = Counter(digests.values()).most_common(1)
    if 2 * count <= len(means):
        raise SumLost("the clients decrypted it to different numbers")
    others = [client for client, digest in digests.items() if digest != most]
    if others:
        log.warning("client %s decrypted other numbers than the rest", ", ".join(map(str, others)))
    return next(mean for client, mean in means.items() if digests[client] == most)
