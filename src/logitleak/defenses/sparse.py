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
    them from answers: in a neutral row all entries are equal, to the bit, and nothing that another defense does to it
    afterward, but for noise, makes them differ. An answer whose entries are all equal cannot be told from them, and
    says as little of any class.
    """

    Settings = SparseSettings
    settings: SparseSettings
    strengths = ({"share": 0.5}, {"share": 0.2}, {"share": 0.05})
    undoing = "The rows that were answered; neutral ones are recognized and left out."

    def on_upload(self, values: Tensor, rows: Tensor, round: int) -> Tensor:
        count = len(values)
        if count == 0:
            return values
        answered = max(1, int(self.settings.share * count + 0.5))
        order = self.draws.uniform((count,), round).argsort()
        silent = torch.ones(count, dtype=torch.bool)
        silent[order[:answered]] = False
        neutral = 0.0 if self.kind == "logits" else 1 / values.shape[-1]
        return values.masked_fill(silent[:, None], neutral)

    def silent(self, values: Tensor) -> Tensor:
        """Rows whose entries are all equal."""
        return values.amax(-1) == values.amin(-1)

    def sees(self) -> str:
        return f"Exact outputs on {self.settings.share:.0%} of the rows, others in each round, and nothing of the rest."

    def fits(self, values: Tensor) -> bool | None:
        """Enough rows must be uniform."""
        count = len(values)
        if count == 0:
            return True
        uniform = values.amax(-1) - values.amin(-1) <= 1e-7
        return int(uniform.sum()) >= count - max(1, int(self.settings.share * count + 0.5))
