"""Every image at a random client."""

from __future__ import annotations

import numpy as np

from logitleak.data.partition.base import Integers, Partition


class IID(Partition):
    """A shuffle, cut into K parts whose sizes differ by one at most."""

    def divide(self, labels: Integers, clients: int, random: np.random.Generator) -> Integers:
        owners = np.empty(len(labels), np.int64)
        owners[random.permutation(len(labels))] = np.arange(len(labels)) % clients
        return owners
