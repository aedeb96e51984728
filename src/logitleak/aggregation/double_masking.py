"""Double masking, after Bonawitz et al. (2017): beside the masks that cancel in pairs every client adds one of its own,
which it takes back for a sum that it is told to be in, and for no other."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from logitleak.aggregation.masks import Words, expand, pairwise, reduce


@dataclass(frozen=True)
class DoubleMask:
    """What one client hides its words behind.

    An upload that comes after its client was counted as absent stays hidden by the client's own mask. What `rest` takes
    back is one sum: it tells neither the own mask nor that of any pair, so that whatever a server says of who is absent
    opens no sum of fewer clients than it named to each of them.

    Attributes:
        client: whose mask this is.
        pairs: by client, the secret that is shared with each of the others.
        own: a secret that is nobody else's.
        width: bytes of a word.
    """

    client: int
    pairs: Mapping[int, bytes]
    own: bytes
    width: int

    def over(self, words: Words, round: int) -> Words:
        """The words of a round, uint64 [n], as they are sent."""
        masks = self._pairwise(self.pairs, round, len(words))
        return reduce(words + own_mask(self.seed(round), len(words), self.width) + masks, self.width)

    def seed(self, round: int) -> bytes:
        """What the own mask of a round grows from; it says nothing of any other round's."""
        return hmac.new(self.own, f"round {round}".encode(), hashlib.sha256).digest()

    def rest(self, here: Collection[int], round: int, count: int) -> Words:
        """What is to be taken from this client's words, uint64 [n], for the sum over those who are here: its own mask,
        and those of its pairs with everybody else."""
        gone = [other for other in self.pairs if other not in here]
        own = own_mask(self.seed(round), count, self.width)
        return reduce(own + self._pairwise(gone, round, count), self.width)

    def _pairwise(self, others: Collection[int], round: int, count: int) -> Words:
        def mask(low: int, high: int) -> Words:
            secret = self.pairs[high if low == self.client else low]
            return expand(secret, f"round {round}", count, self.width)

        return np.zeros(count, np.uint64) + np.asarray(pairwise(self.client, others, mask), np.uint64)


def own_mask(seed: bytes, count: int, width: int) -> Words:
    """The mask that grows from `DoubleMask.seed`."""
    return expand(seed, "own", count, width)
