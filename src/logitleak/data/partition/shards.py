"""Every client has a few classes, and each class is at several clients."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

from logitleak.data.partition.base import Integers, Partition, PartitionSettings, holders
from logitleak.errors import UserError


class ShardsSettings(PartitionSettings):
    """Settings of the shards partition.

    Attributes:
        classes: how many classes a client has.
    """

    classes: PositiveInt = 2


class Shards(Partition):
    """Deals classes out, each about equally often, and divides the images of a class among its clients (after McMahan
    et al., 2017, whose shards are cut from images sorted by class)."""

    Settings = ShardsSettings
    settings: ShardsSettings

    def check(self, classes: int, clients: int) -> None:
        wanted = self.settings.classes
        if wanted > classes:
            raise UserError(f"{wanted} classes for each client are more than the {classes} there are; lower "
                            "data.partition_settings.classes.")  # fmt: skip
        if wanted * clients < classes:
            raise UserError(
                f"{clients} clients with {wanted} classes each leave some of the {classes} classes to nobody; raise "
                f"data.partition_settings.classes to {-(-classes // clients)} or more."
            )

    def divide(self, labels: Integers, clients: int, random: np.random.Generator) -> Integers:
        names = np.unique(labels)
        self.check(len(names), clients)
        clients_of: dict[int, list[int]] = {int(label): [] for label in names}
        for client in random.permutation(clients).tolist():
            rarest = sorted(clients_of, key=lambda label: (len(clients_of[label]), random.random()))
            for label in rarest[: self.settings.classes]:
                clients_of[label].append(client)
        return holders(labels, clients_of, random)
