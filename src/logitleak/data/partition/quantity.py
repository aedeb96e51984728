"""Quantity skew: the same classes everywhere, and clients of very different size."""

from __future__ import annotations

import numpy as np
from pydantic import NonNegativeInt

from logitleak.data.partition.base import Integers, Partition, raise_smallest
from logitleak.data.partition.dirichlet import DirichletSettings, cut


class QuantitySettings(DirichletSettings):
    """Settings of the quantity partition.

    Attributes:
        alpha: concentration of the Dirichlet distribution that sizes are drawn from; smaller is more unequal.
        smallest: images that every client has at least.
    """

    smallest: NonNegativeInt = 1


class Quantity(Partition):
    """A shuffle, cut into K parts of sizes that a symmetric Dirichlet distribution says."""

    Settings = QuantitySettings
    settings: QuantitySettings

    def divide(self, labels: Integers, clients: int, random: np.random.Generator) -> Integers:
        owners = cut(len(labels), clients, self.settings.alpha, random)
        return raise_smallest(owners, clients, self.settings.smallest, random)
