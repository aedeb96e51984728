"""What defenses by noise share: rows of bounded length, independent noise on every entry, and what that promises."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from logitleak.defenses.accounting import promise, upward
from logitleak.defenses.base import Defense
from logitleak.defenses.spaces import onto_simplex


class Noise(Defense):
    """Scales every row down to a length of at most C, then adds noise to every entry, new in each round. Probabilities
    are put back onto the nearest distribution afterward, which costs the guarantee nothing.

    Attributes:
        apart: how far two distributions may be from each other, in the length that is bounded.
        delta: δ of the guarantee.
    """

    apart: float

    @property
    @abstractmethod
    def delta(self) -> float: ...

    @property
    def sensitivity(self) -> float:
        """By how much another answer on one row may move that row: 2C, or where outputs are probabilities, which are no
        longer than 1, as far as two distributions may be apart."""
        clip = float(self.settings.clip)
        return 2 * clip if self.kind == "logits" else self.apart * min(clip, 1.0)

    @abstractmethod
    def lengths(self, values: Tensor) -> Tensor:
        """The length of every row, [n, 1] of float64 [n, J]."""

    @abstractmethod
    def noise(self, uniform: Tensor) -> Tensor:
        """Noise from as many uniform numbers in (0, 1), float64."""

    @abstractmethod
    def epsilon(self, rows: int, rounds: int) -> float:
        """ε where answers on so many rows may change, in so many uploads."""

    def on_upload(self, values: Tensor, rows: Tensor, round: int) -> Tensor:
        exact = values.double()
        exact = exact * (self.settings.clip / self.lengths(exact).clamp_min(1e-300)).clamp_max(1)
        noised = exact + self.noise(self.draws.uniform(exact.shape, round))
        return (noised if self.kind == "logits" else onto_simplex(noised)).to(values.dtype)

    def guarantee(self, rows: int, rounds: int) -> str:
        client, row = (upward(self.epsilon(count, rounds)) for count in (rows, 1))
        return promise(client, row, self.delta, rows, rounds)
