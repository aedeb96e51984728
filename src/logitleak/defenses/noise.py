"""What defenses by noise share: rows of bounded length, independent noise on every entry, and what that promises."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from logitleak.defenses.accounting import promise, upward
from logitleak.defenses.base import Defense
from logitleak.defenses.spaces import onto_simplex

READABLE = 3.0
"""The largest standard deviation that noise on logits keeps for who reads them knowing of it: the smallest softmax
temperature that audits read with."""


class Noise(Defense):
    """Scales every row down to a length of at most C, then adds noise to every entry, new in each round. Probabilities
    are put back onto the nearest distribution afterward, which costs the guarantee nothing.

    Nobody takes noise off a single number. But the softmax of a row that is mostly noise says which noise is largest,
    while the mean of many rows says what they have in common: logits that are made small go through a softmax as
    through a line, and so their noise is averaged out over rows.

    Attributes:
        apart: how far two distributions may be from each other, in the length that is bounded.
        delta: δ of the guarantee.
        deviation: standard deviation of the noise on an entry.
    """

    apart: float
    undoing = (
        "Noised logits, and all others beside them, made so small that a softmax is a line to them and the mean over "
        "rows takes the noise off."
    )

    @property
    @abstractmethod
    def delta(self) -> float: ...

    @property
    @abstractmethod
    def deviation(self) -> float: ...

    @property
    def undoable(self) -> bool:
        return self.scale < 1

    @property
    def scale(self) -> float:
        return min(1.0, READABLE / self.deviation) if self.kind == "logits" else 1.0

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
