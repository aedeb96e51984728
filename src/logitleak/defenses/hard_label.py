"""One class for each row, and nothing of how sure the model is."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from logitleak.defenses.base import Defense
from logitleak.defenses.spaces import Kind

_SURE = 0.5
"""Far above what any other class has, and below what many classes leave of 1 in logits."""


class HardLabel(Defense):
    """The likeliest class of every row gets probability 1, the first of several that are equal.

    It has no settings. A scheme that sends logits gets those of 1 and of `logitleak.defenses.spaces.LEAST`.
    """

    @property
    def space(self) -> Kind:
        return "probabilities"

    def on_upload(self, values: Tensor, rows: Tensor, round: int) -> Tensor:
        labels = values.argsort(dim=-1, descending=True, stable=True)[:, 0]
        return F.one_hot(labels, values.shape[-1]).to(values.dtype)

    def sees(self) -> str:
        return "The likeliest class of every row, and no probability."

    def fits(self, values: Tensor) -> bool | None:
        """One class must have everything, and the others nothing that they do not share."""
        ordered = values.sort(-1, descending=True).values
        rest = ordered[:, 1:]
        alone = bool((ordered[:, 0] > _SURE).all())
        return alone and (rest.numel() == 0 or bool((rest < 2e-6).all()))
