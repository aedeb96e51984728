"""No class gets more than so much."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from logitleak.defenses.base import Defense, DefenseSettings
from logitleak.defenses.spaces import LEAST, Kind

_TOLERANCE = 1e-5
"""So near to the bound a probability counts as clipped: it may have been a logit on its way."""


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

    A row that was mixed shows it: its largest entry is c. All of it is known then but λ, and the smallest entry tells
    that: a softmax over many classes leaves its last one next to nothing, so what is left there is (1 − λ)u. See
    `undo`.
    """

    Settings = ClipConfidenceSettings
    settings: ClipConfidenceSettings
    strengths = ({"most": 0.9}, {"most": 0.5}, {"most": 0.2})
    undoing = "Clipped rows as they were, but for their smallest probability, which is taken for nothing."

    @property
    def space(self) -> Kind:
        return "probabilities"

    def on_upload(self, values: Tensor, rows: Tensor, round: int) -> Tensor:
        uniform = 1 / values.shape[-1]
        most = max(self.settings.most, uniform)
        top = values.amax(-1, keepdim=True)
        share = torch.where(top > most, (most - uniform) / (top - uniform).clamp_min(1e-12), 1.0)
        return share * values + (1 - share) * uniform

    def undo(self, values: Tensor) -> Tensor:
        """Clipped rows unmixed, as if their smallest probability had been f = `LEAST`: λ = (u − min)/(u − f), and no
        less than (c − u)/(1 − u), with which the largest would have been 1.

        With a true smallest probability m of a row p this is u + (p − u)·(u − f)/(u − m): exact for m = f, and with
        J·m small nearly so. Of two classes m is large wherever anything is left to be known, and every clipped row
        becomes the label.
        """
        uniform = 1 / values.shape[-1]
        most = max(self.settings.most, uniform)
        if most - uniform < _TOLERANCE:
            return values  # every row is uniform
        top, least = values.amax(-1, keepdim=True), values.amin(-1, keepdim=True)
        share = (uniform - least) / (uniform - min(LEAST, uniform / 2))
        share = share.clamp((most - uniform) / (1 - uniform), 1.0)
        before = ((values - (1 - share) * uniform) / share).clamp_min(0)
        return torch.where(top > most - _TOLERANCE, before / before.sum(-1, keepdim=True), values)

    def sees(self) -> str:
        return f"Probabilities of at most {self.settings.most:g}, in their order."

    def fits(self, values: Tensor) -> bool | None:
        """No probability may be above the bound."""
        most = max(self.settings.most, 1 / values.shape[-1])
        return bool((values <= most + _TOLERANCE).all())
