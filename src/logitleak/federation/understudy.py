"""A client's model as it would be without its private images."""

from __future__ import annotations

from torch import Tensor

from logitleak.federation.bank import ModelBank
from logitleak.schemes.base import ClientContext, Scheme
from logitleak.types import ClientData, Payload, PublicData


class Understudy:
    """Does every action of a client with a bank of its own, and with no private image. What it says does not travel.

    Args:
        scheme: what is played.
        bank: one model, under the client's number: then it starts as the client's, and learns public images in the same
            order.
        data: what the client holds. Only its labels are read, and nothing is learnt from them.
        public: the public set.
    """

    def __init__(self, scheme: Scheme, bank: ModelBank, data: ClientData, public: PublicData) -> None:
        self.bank = bank
        self._scheme, self._public = scheme, public
        self._nothing = ClientData(data.images[:0], data.labels[:0])
        self._held = data.labels.unique()
        self._said = Payload()

    @property
    def held(self) -> Tensor:
        """See `logitleak.defenses.inside.Inside`."""
        return self._held

    def follow(self, action: str, round: int, message: Payload) -> None:
        """See `logitleak.defenses.inside.Inside`."""
        context = ClientContext(self._public, round, [0])
        (said,) = self._scheme.actions[action](self.bank, [self._nothing], message, context)
        if action == self._scheme.uploads[0]:
            self._said = said

    def outputs(self) -> Tensor:
        """See `logitleak.defenses.inside.Inside`."""
        return self._said.tensors[self._scheme.uploads[1]]
