"""The server behind masks: it adds words, and asks those whose words it has for what does not cancel in their sum."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from logitleak.aggregation.base import Sealed
from logitleak.aggregation.double_masking import own_mask
from logitleak.aggregation.masks import Words, centered, reduce, unpack
from logitleak.aggregation.secure_sum import SecureSum
from logitleak.deploy.sums.server import RemoteSums
from logitleak.deploy.sums.steps import SEALED, UNMASK, of_bytes, to_bytes
from logitleak.federation.answers import Form, Shape
from logitleak.types import Absence, Payload, Summed

_SEED = of_bytes(32)


class MaskedSums(RemoteSums):
    """Sums of a `SecureSum` whose masks are the clients' own.

    Args:
        hiding: how values become words.
        form, drawn: see `RemoteSums`.
    """

    hiding: SecureSum

    def sent(self, values: int) -> int:
        words = values * self.hiding.width
        return words + (_SEED.nbytes if self.drawn == self.clients else words)  # see `_step_form`

    def mean(
        self, action: str, round: int, sealed: Mapping[int, Sealed], absent: Mapping[int, str]
    ) -> Summed:
        here, shape = sorted(sealed), next(iter(sealed.values())).shape
        count = int(np.prod(shape))
        message = Payload({"here": torch.tensor(here)}, {"values": count})
        replies = self._all(UNMASK, round, message, here)
        total: Words = np.zeros(count, np.uint64)
        for client in here:
            total += unpack(sealed[client].parts[0], self.hiding.width) - self._rest(replies[client], count)
        whole = centered(reduce(total, self.hiding.width), self.hiding.width)
        self._whole_sum(int(np.abs(whole).max(initial=0)), len(here))
        mean = self.hiding.numbers.mean(whole, len(here), shape)
        sizes = {
            client: sealed[client].nbytes + sum(one.nbytes for one in replies[client].tensors.values())
            for client in here
        }
        return Summed(Payload({self._tensor(action): mean}), sizes)

    def _rest(self, reply: Payload, count: int) -> Words:
        if "seed" in reply.tensors:
            return own_mask(to_bytes(reply.tensors["seed"]), count, self.hiding.width)
        return unpack(to_bytes(reply.tensors["words"]), self.hiding.width)

    def _sealed_form(self, form: Form) -> Shape:
        (shape,) = form.tensors.values()
        return of_bytes(torch.Size(shape.sizes).numel() * self.hiding.width)

    def _step_form(self, action: str, message: Payload) -> Form:
        if action != UNMASK:
            return Form()
        if message.tensors["here"].tolist() == self.roster:
            return Form({"seed": _SEED})
        return Form({"words": of_bytes(int(message.scalars["values"]) * self.hiding.width)})

    def _taken(self, reply: Payload, shape: Shape) -> Sealed | Absence:
        return Sealed((to_bytes(reply.tensors[SEALED]),), shape.sizes)
