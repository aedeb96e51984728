"""What a stage is: work of a run that is done our way and the rival's, on random pixels of two sizes.

`ours` and `rival` prepare, which is not timed, and return the work, which is, and which returns what it computed, for
comparison.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

PIXELS = 3 * 64 * 64

Work = Callable[[], Tensor]


@dataclass(frozen=True)
class Size:
    """J classes, N public images, of which so many are of the sensitive domain (D_0)."""

    name: str
    classes: int
    public: int
    sensitive: int


SIZES = {"att": Size("att", 40, 400, 160), "lfw": Size("lfw", 1000, 10_800, 4300)}


class Stage(ABC):
    """A stage at one size, for K clients.

    Class attributes:
        unit: what is counted.
    """

    unit: str

    def __init__(self, size: Size, clients: int) -> None:
        self.size, self.clients = size, clients
        self.generator = torch.Generator().manual_seed(0)

    @abstractmethod
    def ours(self) -> Work:
        """Our way."""

    @abstractmethod
    def rival(self) -> Work:
        """The rival's way."""

    def units(self) -> int:
        """How many units the work of `ours` does."""
        return self.clients

    def rival_units(self) -> int:
        """How many units the work of `rival` does."""
        return self.units()

    def operations(self) -> float:
        """Floating-point operations of one unit: products only."""
        return 0.0

    def traffic(self) -> float:
        """Bytes that one unit cannot but read or write: weights, gradients, moments, files."""
        return 0.0

    def images(self, count: int) -> Tensor:
        """Random pixels uint8 [count, 3, 64, 64]."""
        return torch.randint(0, 256, (count, 3, 64, 64), dtype=torch.uint8, generator=self.generator)
