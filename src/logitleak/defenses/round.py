"""Fewer digits: the oldest advice against attacks on confidences."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from logitleak.defenses.base import Defense, DefenseSettings
from logitleak.defenses.spaces import LEAST, Kind

_ROWS, _ENTRIES = 256, 1_000_000
"""So many rows, and entries of them, the mark is looked for in; it takes a while."""


class RoundSettings(DefenseSettings):
    """Settings of rounding.

    Attributes:
        digits: decimal places that are kept of every probability.
    """

    digits: int = Field(default=2, ge=1, le=3)


class Round(Defense):
    """Rounds probabilities, half to even, and scales every row to add up to 1 again.

    A row in which everything is rounded to 0 becomes uniform. Nothing of it is undone: what was below the digits is
    gone, and attacks that read a 0 as something small found less than those that take it at its word.
    """

    Settings = RoundSettings
    settings: RoundSettings
    strengths = ({"digits": 3}, {"digits": 2}, {"digits": 1})

    @property
    def space(self) -> Kind:
        return "probabilities"

    def on_upload(self, values: Tensor, rows: Tensor, round: int) -> Tensor:
        scale = 10**self.settings.digits
        whole = (values.double() * scale).round()
        whole = torch.where(whole.sum(-1, keepdim=True) == 0, 1.0, whole)
        return (whole / whole.sum(-1, keepdim=True)).to(values.dtype)

    def sees(self) -> str:
        digits = self.settings.digits
        return f"Probabilities rounded to {digits} decimal {'place' if digits == 1 else 'places'}."

    def fits(self, values: Tensor) -> bool | None:
        """Every row must be whole numbers over one and the same whole number, their sum: at most twice what it would be
        without rounding, since nothing that is not 0 is more than doubled."""
        classes = values.shape[-1]
        found = values[: min(_ROWS, max(1, _ENTRIES // classes))].double()
        found = torch.where(found < 2 * LEAST, 0.0, found)  # a zero, in a scheme that sends logits
        found = found / found.sum(-1, keepdim=True)
        explained = (found - 1 / classes).abs().amax(-1) < 1e-5
        for total in range(1, 2 * 10**self.settings.digits + 1):
            counts = found * total
            explained |= (counts - counts.round()).abs().amax(-1) < 1e-5 * max(total, 10)
        return bool(explained.all())
