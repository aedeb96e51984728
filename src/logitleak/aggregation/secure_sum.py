"""A secure sum by masks that cancel in pairs, after Bonawitz et al. (2017)."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, Literal

import numpy as np
from torch import Tensor

from logitleak.aggregation.base import AggregatorSettings, Hiding, Sealed, Secrets
from logitleak.aggregation.fixed_point import LEAST_LEVELS, FixedPoint, Range, Whole, range_of
from logitleak.aggregation.masks import Words, centered, expand, pack, pairwise, reduce, unpack
from logitleak.errors import UserError
from logitleak.types import UploadKind


class SecureSumSettings(AggregatorSettings):
    """How numbers become words.

    Attributes:
        bits: m; words are modulo 2^m, and a client sends m bits for every value.
        range: the largest absolute value that is summed; clients clip what is beyond. Null: 1 for probabilities, 256
            for logits.
    """

    bits: Literal[16, 24, 32, 40, 48] = 32
    range: Range | None = None


class SecureSum(Hiding):
    """Every client rounds its upload to whole steps and adds, modulo 2^m, a mask for each pair that it is in. In the
    sum over all clients the masks cancel, and nothing wraps: the step is the smallest power of two that K clipped
    values leave room for.

    In one process the masks that absent clients would have cancelled are taken from the sum at once. Where clients are
    elsewhere each has keys of its own, and a second mask (`logitleak.aggregation.double_masking`); sum and mean are the
    same to the bit. The server is honest but curious.
    """

    Settings = SecureSumSettings
    how = "Clients add masks to their uploads, which cancel in the sum."
    settings: SecureSumSettings

    def __init__(self, settings: Any, kind: UploadKind, clients: int, secrets: Secrets) -> None:
        super().__init__(settings, kind, clients, secrets)
        self._secrets = secrets
        self.width = self.settings.bits // 8
        self.numbers = self._numbers()

    def _numbers(self) -> FixedPoint:
        """The finest steps with which no sum of K values wraps."""
        bits, largest = self.settings.bits, range_of(self.kind, self.settings.range)
        room = (2 ** (bits - 1) - 1) / (self.clients * largest)
        numbers = FixedPoint(largest, math.floor(math.log2(room)))
        if self.clients * numbers.limit > 2 ** (bits - 1) - 1:  # the logarithm was rounded up
            numbers = FixedPoint(largest, numbers.fraction - 1)
        if numbers.limit < LEAST_LEVELS:
            raise UserError(
                f"Words of {bits} bits leave {self.clients} clients with a range of {largest:g} only {numbers.limit} "
                "steps; raise federation.aggregation.settings.bits, or lower its range."
            )
        return numbers

    def nbytes(self, values: int) -> int:
        return values * self.width

    def seal(self, client: int, round: int, values: Tensor) -> Sealed:
        whole = self.whole(client, round, values)
        others = (k for k in range(self.clients) if k != client)
        masks = pairwise(client, others, lambda low, high: self._mask(low, high, round, len(whole)))
        words = reduce(whole.astype(np.uint64) + np.asarray(masks, np.uint64), self.width)
        return Sealed((pack(words, self.width),), tuple(values.shape))

    def mean(self, round: int, sealed: Mapping[int, Sealed], absent: Collection[int]) -> Tensor:
        shape = next(iter(sealed.values())).shape
        return self.numbers.mean(self.total(round, sealed, absent), len(sealed), shape)

    def total(self, round: int, sealed: Mapping[int, Sealed], absent: Collection[int]) -> Whole:
        """The sum of the whole numbers of those who are here, int64 [n]; see `Hiding.mean`."""
        uploads = [unpack(one.parts[0], self.width) for one in sealed.values()]
        count = len(uploads[0])

        def mask(low: int, high: int) -> Words:
            return self._mask(low, high, round, count)

        total: Words = np.sum(np.stack(uploads), axis=0, dtype=np.uint64)
        for client in sealed:  # what stays of masks that the absent would have cancelled
            total = total - np.asarray(pairwise(client, absent, mask), np.uint64)
        return centered(reduce(total, self.width), self.width)

    def _mask(self, low: int, high: int, round: int, count: int) -> Words:
        return expand(self._secrets("pair", low, high), f"round {round}", count, self.width)
