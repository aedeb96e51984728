"""A client behind encryption: it shares the key of all clients, encrypts its uploads, and decrypts sums."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from logitleak.aggregation.agreement import KEY_BYTES, LOCK_BYTES, BadKey, lock, unlock
from logitleak.aggregation.ckks import CKKS
from logitleak.aggregation.encryption import BadCiphertext, padded, stripped
from logitleak.aggregation.fixed_point import Whole
from logitleak.deploy.sums.party import Party, Step
from logitleak.deploy.sums.steps import (
    CLOSED,
    DEAL,
    OPEN,
    SEALED,
    TAKE,
    majority,
    to_array,
    to_bytes,
    to_tensor,
)
from logitleak.deploy.told import Told
from logitleak.errors import UserError
from logitleak.types import Payload

_WRAP = "ckks key of all"


class EncryptedParty(Party):
    """A client of `CKKS`. One of them, the dealer, draws the key of all; the others get it from the dealer through the
    server, in a box that each opens with the secret that it shares with the dealer.

    Args:
        client: which client this is.
        hiding: how values are encrypted; no key of it is used.
    """

    def __init__(self, client: int, hiding: CKKS) -> None:
        super().__init__(client, hiding.clients)
        self._hiding, self._encryption = hiding, hiding.encryption

    @property
    def steps(self) -> Mapping[str, Step]:
        return {**super().steps, DEAL: self._deal, TAKE: self._take, OPEN: self._open}

    def seal(self, round: int, values: Tensor) -> Payload:
        context = self._context()
        self.once(round, values.shape)
        chunks = self._encryption.encrypt(context, self._hiding.whole(self.client, round, values))
        return Payload({SEALED: to_tensor(self._encryption.packed(chunks))})

    def _deal(self, round: int, message: Payload) -> Payload:
        """Draw the key of all. What travels is the key in a box, and for each other client, in the order of the roster,
        what opens that box, in a box of its own."""
        if "context" in self.kept:
            raise Told("it has the key of all clients already")
        secrets, opener = self.secrets(_WRAP), os.urandom(KEY_BYTES)
        made = self._encryption.private_bytes(self._encryption.keys())
        self.kept["context"] = to_tensor(made)
        openers = [to_tensor(lock(secret, opener)) for secret in secrets.values()]
        box = padded(lock(opener, made), self._encryption.context_bytes + LOCK_BYTES)
        return Payload({"box": to_tensor(box), "openers": torch.stack(openers)})

    def _take(self, round: int, message: Payload) -> Payload:
        if "context" in self.kept:
            raise Told("it has the key of all clients already")
        dealer, openers = int(message.scalars["dealer"]), message.tensors["openers"]
        others = [client for client in self.roster if client != dealer]
        secret = self.secrets(_WRAP).get(dealer)
        if secret is None or len(openers) != len(others):
            raise Told("it was handed a key by nobody whom it shares a secret with")
        try:
            opener = unlock(secret, to_bytes(openers[others.index(self.client)]))
            made = unlock(opener, stripped(to_array(message.tensors["box"])))
            self._encryption.context(made)
        except (BadKey, BadCiphertext):
            raise Told("the key of all clients that it was handed does not open") from None
        self.kept["context"] = to_tensor(made)
        return Payload()

    def opened(self, round: int, message: Payload) -> tuple[str, Payload]:
        if CLOSED not in message.scalars:
            return super().opened(round, message)
        name, scalars = str(message.scalars[CLOSED]), dict(message.scalars)
        rows, classes = (int(scalars.pop(size)) for size in ("rows", "classes"))
        mean = self._mean(
            round, message.tensors["sum"], int(scalars.pop("count")), torch.Size([rows, classes])
        )
        tensors = {key: value for key, value in message.tensors.items() if key != "sum"} | {name: mean}
        del scalars[CLOSED]
        return name, Payload(tensors, scalars)

    def _open(self, round: int, message: Payload) -> Payload:
        """The mean, for a server that takes part."""
        if self._hiding.seen_by == "client":
            raise Told("the server is not to have the mean")
        shape, count = self.sealed_in(round), int(message.scalars["count"])
        return Payload({"mean": self._mean(round, message.tensors["sum"], count, shape)})

    def _mean(self, round: int, rows: Tensor, count: int, shape: torch.Size) -> Tensor:
        """The mean in a sum, float32 of this shape. A client opens one sum of a round: with each more a server that
        lies could have another upload read."""
        if not majority(self.clients) <= count <= len(self.roster):
            raise Told(f"it was asked to open a sum of {count}")
        said = to_tensor(hashlib.sha256(f"{round} {count} ".encode() + to_bytes(rows)).digest())
        last = int(self.kept.get("opened_round", torch.tensor(-1)))
        if round < last or (round == last and not torch.equal(said, self.kept["opened"])):
            raise Told(f"it was asked to open a second sum of round {round}")
        whole = self._decrypted(rows, shape.numel())
        if int(np.abs(whole).max(initial=0)) > count * self._hiding.numbers.limit:
            raise Told("the sum holds numbers that no uploads add up to")
        self.kept |= {"opened_round": torch.tensor(round), "opened": said}
        return self._hiding.numbers.mean(whole, count, tuple(shape))

    def _decrypted(self, rows: Tensor, values: int) -> Whole:
        context = self._context()
        try:
            chunks = self._encryption.unpacked(to_array(rows))
            self._encryption.check(context, chunks, values)
            return self._encryption.decrypt(context, chunks)
        except (BadCiphertext, UserError):
            raise Told("the sum that it was shown does not decrypt to numbers") from None

    def _context(self) -> object:
        if "context" not in self.kept:
            raise Told(
                "it has no key of this federation: it was not there when it was dealt, or was started again"
            )
        return self._encryption.context(to_bytes(self.kept["context"]))
