"""Only a share of the rows is answered, another one in each round."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from logitleak.defenses.base import Defense, DefenseSettings


class SparseSettings(DefenseSettings):
    """Settings of sparse answers.

    Attributes:
        share: of the rows that are answered, at least one of them.
    """

    share: float = Field(default=0.5, gt=0, le=1)


class Sparse(Defense):
    """A share of the rows, drawn anew in each round, is answered as it is, and all others neutrally: with the uniform
    distribution, or with the logits 0.

    No scheme has a place for rows that are missing, and the server averages neutral ones like any other. It can tell
    them from answers: see `silent`.
    """

    Settings = SparseSettings
    settings: SparseSettings
    strengths = ({"share": 0.5}, {"share": 0.2}, {"share": 0.05})
    undoing = "The rows that were answered; neutral ones are recognized and left out."

    def on_upload(self, values: Tensor, rows: Tensor, round: int) -> Tensor:
        count = len(values)
        if count == 0:
            return values
        order = self.draws.uniform((count,), round).argsort()
        silent = torch.ones(count, dtype=torch.bool)
        silent[order[: self._answered(count)]] = False
        neutral = 0.0 if self.kind == "logits" else 1 / values.shape[-1]
        return values.masked_fill(silent[:, None], neutral)

    def silent(self, values: Tensor) -> Tensor:
        """Rows whose entries are all equal, to the bit; where those are fewer than are neutral, since another defense
        may have added up rows afterward, those that are equal but for the precision of float32.

        An answer whose entries are all equal cannot be told from a neutral row, and says as little of any class.
        """
        spread = values.amax(-1) - values.amin(-1)
        equal = spread == 0
        if int(equal.sum()) >= len(values) - self._answered(len(values)):
            return equal
        return spread <= 1e-6 * (1.0 if self.kind == "logits" else 1 / values.shape[-1])

    def _answered(self, count: int) -> int:
        """How many of so many rows, at least one, are answered."""
        return max(1, int(self.settings.share * count + 0.5))

    def sees(self) -> str:
        return f"Exact outputs on {self.settings.share:.0%} of the rows, others in each round, and nothing of the rest."

    def fits(self, values: Tensor) -> bool | None:
        """Enough rows must be uniform."""
        count = len(values)
        if count == 0:
            return True
        uniform = values.amax(-1) - values.amin(-1) <= 1e-7
        return int(uniform.sum()) >= count - self._answered(count)
