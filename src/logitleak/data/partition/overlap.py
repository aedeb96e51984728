"""Between the paper's partition and a shared one: every person is at a few clients."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

from logitleak.data.partition.base import Integers, Partition, PartitionSettings, holders
from logitleak.errors import UserError


class OverlapSettings(PartitionSettings):
    """Settings of the overlap partition.

    Attributes:
        clients: m, at how many clients each person is.
    """

    clients: PositiveInt = 2


class Overlap(Partition):
    """Each class at m clients, dealt out in turn after a shuffle; its images are divided evenly among them."""

    Settings = OverlapSettings
    settings: OverlapSettings

    def check(self, classes: int, clients: int) -> None:
        if self.settings.clients > clients:
            raise UserError(
                f"A person cannot be at {self.settings.clients} of {clients} clients; lower "
                "data.partition_settings.clients."
            )
        if clients > classes * self.settings.clients:
            raise UserError(
                f"{classes} targets at {self.settings.clients} clients each are too few for {clients} clients; raise "
                "data.targets or data.partition_settings.clients."
            )

    def divide(self, labels: Integers, clients: int, random: np.random.Generator) -> Integers:
        names, m = np.unique(labels), self.settings.clients
        self.check(len(names), clients)
        seats = np.resize(random.permutation(clients), len(names) * m).reshape(len(names), m)
        order = random.permutation(len(names))
        clients_of = {int(names[place]): seats[turn].tolist() for turn, place in enumerate(order)}
        return holders(labels, clients_of, random)
