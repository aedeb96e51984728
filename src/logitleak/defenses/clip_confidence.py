"""No class gets more than so much."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from logitleak.defenses.base import Defense, DefenseSettings
from logitleak.defenses.spaces import Kind


class ClipConfidenceSettings(DefenseSettings):
    """Settings of clipped confidences.

    Attributes:
        most: the largest probability that leaves. At or below 1/J every row is uniform.
    """

    most: float = Field(default=0.5, gt=0, le=1)


class ClipConfidence(Defense):
    """Mixes a row with the uniform one, just so much that no probability is above a bound.

    With u = 1/J and a row p whose largest entry is above the bound c: λp + (1 − λ)u, λ = (c − u)/(max p − u), or 0
    where c ≤ u. The order of the classes stays, and other rows stay as they are.
    """

    Settings = ClipConfidenceSettings
    settings: ClipConfidenceSettings
    strengths = ({"most": 0.9}, {"most": 0.5}, {"most": 0.2})

    @property
    def space(self) -> Kind:
        return "probabilities"

    def on_upload(self, values: Tensor, rows: Tensor, round: int) -> Tensor:
        uniform = 1 / values.shape[-1]
        most = max(self.settings.most, uniform)
        top = values.amax(-1, keepdim=True)
        share = torch.where(top > most, (most - uniform) / (top - uniform).clamp_min(1e-12), 1.0)
        return share * values + (1 - share) * uniform

    def sees(self) -> str:
        return f"Probabilities of at most {self.settings.most:g}, in their order."

    def fits(self, values: Tensor) -> bool | None:
        """No probability may be above the bound."""
        most = max(self.settings.most, 1 / values.shape[-1])
        return bool((values <= most + 1e-5).all())
