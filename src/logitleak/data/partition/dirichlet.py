"""Label skew: the shares of every class are drawn from a Dirichlet distribution."""

from __future__ import annotations

import numpy as np
from pydantic import NonNegativeInt, PositiveFloat

from logitleak.data.partition.base import Integers, Partition, PartitionSettings, raise_smallest


class DirichletSettings(PartitionSettings):
    """Settings of the Dirichlet partition.

    Attributes:
        alpha: concentration. Below 1 most clients have few classes, 0.1 is strongly skewed, and with large values all
            clients have the same shares.
        smallest: images that every client has at least; those with less get images of the largest clients. 0 leaves a
            client without an image where the draw does.
    """

    alpha: PositiveFloat = 1.0
    smallest: NonNegativeInt = 0


class Dirichlet(Partition):
    """For each class, shares of the K clients from a symmetric Dirichlet distribution (Hsu, Qi and Brown, 2019)."""

    Settings = DirichletSettings
    settings: DirichletSettings

    def divide(self, labels: Integers, clients: int, random: np.random.Generator) -> Integers:
        owners = np.empty(len(labels), np.int64)
        for label in np.unique(labels).tolist():
            rows = np.flatnonzero(labels == label)
            owners[rows] = cut(len(rows), clients, self.settings.alpha, random)
        return raise_smallest(owners, clients, self.settings.smallest, random)


def cut(images: int, clients: int, alpha: float, random: np.random.Generator) -> Integers:
    """Owners [n] of some images by drawn shares, the images in a random order."""
    ends = np.rint(np.cumsum(shares(clients, alpha, random)) * images)
    owners = np.empty(images, np.int64)
    order = random.permutation(images)
    owners[order] = np.searchsorted(ends, np.arange(images), side="right").clip(0, clients - 1)
    return owners


def shares(
    clients: int, alpha: float, random: np.random.Generator
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Shares of K clients, which add up to 1. With a tiny alpha all draws can be 0: then one client has it all."""
    drawn = random.dirichlet(np.full(clients, alpha))
    if not np.isfinite(drawn).all() or drawn.sum() == 0:
        drawn = np.eye(clients)[random.integers(clients)]
    return drawn
