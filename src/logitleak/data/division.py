"""What every protocol ends with: pools of images, who owns the private ones, and the divided set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from logitleak.config import DataConfig
from logitleak.data.base import Skipped
from logitleak.data.selection import partition_of
from logitleak.sealed.truth import Split
from logitleak.seeds import derive_numpy


@dataclass
class Pool:
    """Images on their way to one side: rows of an image set, with labels."""

    rows: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)

    def add(self, rows: Sequence[int], label: int) -> None:
        self.rows.extend(rows)
        self.labels.extend([label] * len(rows))


@dataclass(frozen=True)
class Prepared:
    """A divided data set with what the report says about it."""

    split: Split
    title: str
    synthetic: bool
    skipped: Sequence[Skipped]


def shuffled(rows: list[int], rng: np.random.Generator) -> list[int]:
    """The same rows in another order."""
    return [rows[i] for i in rng.permutation(len(rows))]


def owners_of(
    labels: Sequence[int], config: DataConfig, clients: int, seed: int
) -> tuple[Tensor, Tensor | None]:
    """Who owns each private image, int64 [n], and the client that stands for each label where several hold it, int64
    [T] in ascending order of labels; None where each label is at one client.

    Every label is designated to one of its holders, to those first that stand for the fewest so far.

    Raises:
        UserError: these images cannot be divided as configured.
    """
    given = np.array(labels, np.int64)
    owners = partition_of(config).divide(given, clients, derive_numpy(seed, "owners"))
    names = np.unique(given)
    held = {int(name): np.unique(owners[given == name]).tolist() for name in names}
    if all(len(clients_of) == 1 for clients_of in held.values()):
        return torch.from_numpy(owners), None
    random = derive_numpy(seed, "designated")
    stands = np.zeros(clients, np.int64)
    designated: dict[int, int] = {}
    for name in random.permutation(names).tolist():
        least = min(held[name], key=lambda client: (stands[client], random.random()))
        designated[name] = least
        stands[least] += 1
    return torch.from_numpy(owners), torch.tensor([designated[int(name)] for name in names])
