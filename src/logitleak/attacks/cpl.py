"""Client privacy leakage (Wei et al., 2020): patterned dummies, and a term that ties them to the restored label."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor

from logitleak.attacks.dlg import DLG, DLGSettings


class CPLSettings(DLGSettings):
    """The values of the authors' default.

    Attributes:
        alpha: weight of the label term.
        patch: side in pixels of the random patch of which the first dummy is made.
    """

    alpha: NonNegativeFloat = 1.0
    patch: PositiveInt = 16


class CPL(DLG):
    """Minimizes the squared distance of gradients + α · ‖soft label − restored label‖² by L-BFGS, from a random patch
    that is repeated over the image: patterns come nearer to photographs than noise, and the search is shorter."""

    Settings = CPLSettings
    settings: CPLSettings

    def start(self, shape: torch.Size, generator: torch.Generator) -> Tensor:
        *first, height, width = shape
        side = min(self.settings.patch, height, width)
        patch = torch.rand((*first, side, side), generator=generator)
        return patch.repeat(1, 1, -(-height // side), -(-width // side))[..., :height, :width].clone()

    def regularizer(self, images: Tensor, soft: Tensor | None, labels: Tensor) -> Tensor | float:
        if soft is None:
            return 0.0
        wanted = F.one_hot(labels, soft.shape[1]).to(soft.dtype)
        return self.settings.alpha * (soft - wanted).square().sum(1).mean()
