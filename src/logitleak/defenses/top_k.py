"""Only the likeliest classes keep their probabilities."""

from __future__ import annotations

import torch
from pydantic import PositiveInt
from torch import Tensor

from logitleak.defenses.base import Defense, DefenseSettings
from logitleak.defenses.spaces import Kind


class TopKSettings(DefenseSettings):
    """Settings of top-k.

    Attributes:
        k: classes of every row that keep their probability.
    """

    k: PositiveInt = 5


class TopK(Defense):
    """The k likeliest classes of a row keep their probabilities, and the others share what is left evenly.

    Of equal classes the first counts as likelier. With k = 1 it is the label and how sure the model is of it.
    """

    Settings = TopKSettings
    settings: TopKSettings
    strengths = ({"k": 10}, {"k": 3}, {"k": 1})

    @property
    def space(self) -> Kind:
        return "probabilities"

    def on_upload(self, values: Tensor, rows: Tensor, round: int) -> Tensor:
        k, classes = self.settings.k, values.shape[-1]
        if k >= classes:
            return values
        order = values.argsort(dim=-1, descending=True, stable=True)
        kept = torch.zeros_like(values, dtype=torch.bool).scatter(-1, order[:, :k], True)
        left = values.masked_fill(kept, 0).sum(-1, keepdim=True) / (classes - k)
        return torch.where(kept, values, left)

    def sees(self) -> str:
        classes = "class" if self.settings.k == 1 else f"{self.settings.k} classes"
        return f"The likeliest {classes} of every row with their probabilities, and nothing of the order of the others."

    def fits(self, values: Tensor) -> bool | None:
        """All classes but k must be equal, but for the precision of the numbers."""
        rest = values.sort(-1, descending=True).values[:, self.settings.k :]
        if rest.numel() == 0:
            return True
        return bool((rest.amax(-1) - rest.amin(-1) < 1e-6 + 1e-3 * rest.amax(-1)).all())
