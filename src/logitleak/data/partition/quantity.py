"""Quantity skew: the same classes everywhere, and clients of very different size."""

from __future__ import annotations

import numpy as np
from pydantic import NonNegativeInt, PositiveFloat

from logitleak.data.partition.base import Integers, Partition, PartitionSettings, raise_smallest
from logitleak.data.partition.dirichlet import shares


class QuantitySettings(PartitionSettings):
    """Settings of the quantity partition.

    Attributes:
        alpha: concentration of the Dirichlet distribution that sizes are drawn from; smaller is more unequal.
        smallest: images that every client has at least.
    """

    alpha: PositiveFloat = 1.0
    smallest: NonNegativeInt = 1


class Quantity(Partition):
    """A shuffle, cut into K parts of sizes that a symmetric Dirichlet distribution says."""

    Settings = QuantitySettings
    settings: QuantitySettings

    def divide(self, labels: Integers, clients: int, random: np.random.Generator) -> Integers:
        ends = np.rint(np.cumsum(shares(clients, self.settings.alpha, random)) * len(labels))
        owners = np.empty(len(labels), np.int64)
        order = random.permutation(len(labels))
        owners[order] = np.searchsorted(ends, np.arange(len(labels)), side="right").clip(0, clients - 1)
        return raise_smallest(owners, clients, self.settings.smallest, random)
