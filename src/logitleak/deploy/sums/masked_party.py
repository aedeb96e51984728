"""A client behind masks: it adds its own and those of its pairs, and takes back what does not cancel, once a round."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from logitleak.aggregation.agreement import KeyPair
from logitleak.aggregation.double_masking import DoubleMask
from logitleak.aggregation.masks import pack
from logitleak.aggregation.secure_sum import SecureSum
from logitleak.deploy.sums.party import Party, Step
from logitleak.deploy.sums.steps import SEALED, UNMASK, majority, to_bytes, to_tensor
from logitleak.deploy.told import Told
from logitleak.types import Payload


class MaskedParty(Party):
    """A client of a `SecureSum`.

    Args:
        client: which client this is.
        hiding: how values become words; no secret of it is used.
    """

    def __init__(self, client: int, hiding: SecureSum) -> None:
        super().__init__(client, hiding.clients)
        self._hiding = hiding

    @property
    def steps(self) -> Mapping[str, Step]:
        return {**super().steps, UNMASK: self._unmask}

    def seal(self, round: int, values: Tensor) -> Payload:
        mask = self._mask()
        self.once(round, values.shape)
        words = self._hiding.whole(self.client, round, values).astype(np.uint64)
        return Payload({SEALED: to_tensor(pack(mask.over(words, round), mask.width))})

    def _mask(self) -> DoubleMask:
        pairs = self.secrets("secure-sum pair")
        own = KeyPair(to_bytes(self.kept["private"])).own("secure-sum own")
        return DoubleMask(self.client, pairs, own, self._hiding.width)

    def _unmask(self, round: int, message: Payload) -> Payload:
        """What is to be taken from this client's words for the sum over those who are here. Where all are, that is the
        own mask alone, and what it grows from says the same in 32 bytes."""
        here, roster, mask = message.tensors["here"].tolist(), self.roster, self._mask()
        count = self.sealed_in(round).numel()
        if self.client not in here or not set(here) <= set(roster):
            raise Told("it was asked to open a sum that it is not in, or that strangers are in")
        if len(set(here)) < majority(self.clients):
            raise Told(
                f"it was asked to open a sum of {len(set(here))}, and opens none of fewer than a majority"
            )
        said, opened = torch.tensor([round, *sorted(set(here))]), self.kept.get("opened")
        if opened is not None and int(opened[0]) == round and not torch.equal(opened, said):
            raise Told(f"it was asked to open a second sum of round {round}")
        self.kept["opened"] = said
        if set(here) == set(roster):
            return Payload({"seed": to_tensor(mask.seed(round))})
        return Payload({"words": to_tensor(pack(mask.rest(here, round, count), mask.width))})
