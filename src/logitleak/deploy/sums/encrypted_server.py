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
from logitleak.deploy.sums.steps import DEAL, OPEN, SEALED, TAKE, of_bytes, to_array, to_tensor
from logitleak.federation.answers import Form, Shape
from logitleak.federation.sums import SumLost
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

    def sent(self, values: int) -> int:
        return self._encryption.chunks(values) * self._encryption.row_bytes + values * torch.float32.itemsize

    def mean(self, action: str, round: int, sealed: Mapping[int, Sealed], absent: Mapping[int, str]) -> Summed:
        here, shape = sorted(sealed), next(iter(sealed.values())).shape
        added = self._encryption.added(self._adder, [sealed[client].parts for client in here])
        message = Payload(
            {"sum": to_tensor(self._encryption.packed(added))},
            {"count": len(here), "rows": shape[0], "classes": shape[1]},
        )
        wanted, replies = self.form(OPEN, message), self.reach.ask(OPEN, round, message, only=here)
        means, sizes = {}, {}
        for client in here:
            reply = checked(replies.get(client), wanted)
            sizes[client] = len(added) * self._encryption.row_bytes
            if isinstance(reply, Absence):
                log.warning("round %d: client %d did not decrypt the sum: %s", round, client, reply.reason)
                means[client] = reply
            else:
                means[client] = reply.tensors["mean"]
                sizes[client] += means[client].nbytes
        return Summed(Payload({self._tensor(action): _agreed(means)}), sizes)

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


def _agreed(means: Mapping[int, torch.Tensor | Absence]) -> torch.Tensor:
    """The mean that most clients decrypted, to the bit.

    Raises:
        SumLost: none did, or there is no such mean.
    """
    found = {client: mean for client, mean in means.items() if isinstance(mean, torch.Tensor)}
    if not found:
        why = next(mean.reason for mean in means.values() if isinstance(mean, Absence))
        raise SumLost(f"no client decrypted it: {why}")
    digests = {client: mean.numpy().tobytes() for client, mean in found.items()}
    (most, count), *_ = Counter(digests.values()).most_common(1)
    if 2 * count <= len(found):
        raise SumLost("the clients decrypted it to different numbers")
    others = [client for client, digest in digests.items() if digest != most]
    if others:
        log.warning("client %s decrypted other numbers than the rest", ", ".join(map(str, others)))
    return next(mean for client, mean in found.items() if digests[client] == most)
