"""Models that a client trains beside its own: as it would be without its private images, or with a share of them."""

from __future__ import annotations

import torch
from torch import Tensor

from logitleak.defenses.inside import Company
from logitleak.federation.bank import ModelBank
from logitleak.schemes.base import ClientContext, Scheme
from logitleak.types import ClientData, Payload, PublicData


class Accompanied:
    """Does every action of a client with a bank of other models. What they say does not travel.

    Args:
        scheme: what is played.
        bank: the models. An understudy has the client's number: then it starts as the client's own model, and learns
            public images in the same order.
        company: what they learn from.
        data: what the client holds.
        public: the public set.
    """

    def __init__(
        self, scheme: Scheme, bank: ModelBank, company: Company, data: ClientData, public: PublicData
    ) -> None:
        self.bank = bank
        self._scheme, self._public = scheme, public
        shares = company.shares(data.labels)
        self._data = [ClientData(data.images[places], data.labels[places]) for places in shares]
        bank.refuse_too_few([len(share) for share in shares])
        self._held = data.labels.unique()
        self._said: list[Payload] = []

    @property
    def held(self) -> Tensor:
        """See `logitleak.defenses.inside.Inside`."""
        return self._held

    def follow(self, action: str, round: int, message: Payload) -> None:
        """See `logitleak.defenses.inside.Inside`."""
        context = ClientContext(self._public, round, range(len(self.bank)))
        said = self._scheme.actions[action](self.bank, self._data, message, context)
        if action == self._scheme.uploads[0]:
            self._said = list(said)

    def outputs(self) -> Tensor:
        """See `logitleak.defenses.inside.Inside`."""
        return torch.stack([payload.tensors[self._scheme.uploads[1]] for payload in self._said])
