"""What a partition is: an owner for each private image, from labels alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from logitleak.errors import UserError
from logitleak.strict import Strict

Integers = np.ndarray[Any, np.dtype[np.int64]]


class PartitionSettings(Strict):
    """Settings of a partition; none by default."""


class Partition(ABC):
    """Gives every private image to one client.

    Args:
        settings: an instance of the class's ``Settings``.

    Attributes:
        Settings: the pydantic model of its settings.
        exclusive: whether everybody with the same label is at one client, as in the paper.
    """

    Settings: ClassVar[type[PartitionSettings]] = PartitionSettings
    exclusive: ClassVar[bool] = False

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    def check(self, classes: int, clients: int) -> None:
        """Raise a `UserError` unless so many classes can be divided among so many clients."""
        return None

    @abstractmethod
    def divide(self, labels: Integers, clients: int, random: np.random.Generator) -> Integers:
        """The owner of each image.

        Args:
            labels: [n], what each image shows.
            clients: K.
            random: where all chance is from.

        Returns:
            clients 0..K−1, [n]. A client may get no image.

        Raises:
            UserError: these images cannot be divided so; the message says what to change.
        """


def holders(labels: Integers, clients_of: dict[int, list[int]], random: np.random.Generator) -> Integers:
    """Owners where each class is divided evenly, at random, among the clients that hold it.

    Args:
        labels: [n].
        clients_of: by class, the clients that hold it; where a class has fewer images than clients the first of them
            get one each.
        random: where chance is from.
    """
    owners = np.empty(len(labels), np.int64)
    for label in np.unique(labels).tolist():
        rows = np.flatnonzero(labels == label)
        mine = clients_of[label]
        owners[rows[random.permutation(len(rows))]] = np.resize(mine, len(rows))
    return owners


def raise_smallest(owners: Integers, clients: int, smallest: int, random: np.random.Generator) -> Integers:
    """The same owners, after clients with too few images got some from those with the most.

    A drawn partition with an empty client is usual where classes are rare or clients many; drawing again until there is
    none may take forever, and making the draw less skewed would answer another question.

    Args:
        owners: [n].
        clients: K.
        smallest: how many images each client has at least.
        random: chooses the images that move.

    Raises:
        UserError: there are fewer images than that in all.
    """
    if clients * smallest > len(owners):
        raise UserError(
            f"{len(owners)} private images are too few for {clients} clients with {smallest} each; lower "
            "data.partition_settings.smallest or federation.clients."
        )
    owners = owners.copy()
    counts = np.bincount(owners, minlength=clients)
    while counts.min() < smallest:
        taker, giver = int(counts.argmin()), int(counts.argmax())
        owners[random.choice(np.flatnonzero(owners == giver))] = taker
        counts[taker], counts[giver] = counts[taker] + 1, counts[giver] - 1
    return owners
