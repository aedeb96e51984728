"""The paper's partition: every private person lives at exactly one client."""

from __future__ import annotations

import numpy as np

from logitleak.data.partition.base import Integers, Partition
from logitleak.errors import UserError


class Identity(Partition):
    """Each class to one client, in turn after a shuffle."""

    exclusive = True

    def check(self, classes: int, clients: int) -> None:
        if clients > classes:
            raise UserError(
                f"{clients} clients are more than the {classes} targets, and every client needs one; lower "
                "federation.clients or raise data.targets, or share classes (data.partition=iid)."
            )

    def divide(self, labels: Integers, clients: int, random: np.random.Generator) -> Integers:
        _, places = np.unique(labels, return_inverse=True)
        order = random.permutation(int(places.max()) + 1)
        turn = np.empty_like(order)
        turn[order] = np.arange(len(order)) % clients
        owners: Integers = turn[places]
        return owners
