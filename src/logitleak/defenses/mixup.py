"""Mixtures of two private images in place of each."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch
from pydantic import Field
from scipy import special
from torch import Tensor, nn

from logitleak.defenses.base import DefenseSettings
from logitleak.defenses.training import TrainingDefense


class MixupSettings(DefenseSettings):
    """Settings of mixtures.

    Attributes:
        alpha: shares are drawn from the beta distribution with this for both parameters; 1 for any share alike, less
            for shares near 0 and 1.
    """

    alpha: float = Field(default=0.4, gt=0, le=100)


class Mixup(TrainingDefense):
    """Each batch of private images becomes λx + (1 − λ)x', with x' the same batch in another order and one λ for all;
    labels are mixed alike (Zhang et al., 2018). λ and the order are drawn for each batch.
    """

    Settings = MixupSettings
    settings: MixupSettings
    strengths = ({"alpha": 0.4}, {"alpha": 1.0}, {"alpha": 10.0})
    _share: float = 1.0
    _other: Tensor

    def attached(self, model: nn.Module) -> AbstractContextManager[Any]:
        """Images are mixed at the model's door, as numbers from 0 to 1."""

        def mix(module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...] | None:
            if not module.training:
                return None
            images: Tensor = given[0]
            alpha = self.settings.alpha
            self._share = float(special.betaincinv(alpha, alpha, float(self.uniform(1))))
            self._other = self.uniform(len(images)).argsort().to(images.device)
            dtype = next(module.parameters()).dtype
            pixels = images.to(dtype).div(255) if images.dtype == torch.uint8 else images
            return (self._share * pixels + (1 - self._share) * pixels[self._other], *given[1:])

        return model.register_forward_pre_hook(mix)

    def targets(self, targets: Tensor) -> Tensor:
        """Mixed as the images were."""
        return self._share * targets + (1 - self._share) * targets[self._other]

    def sees(self) -> str:
        return "Outputs of a model that learnt mixtures of two private images in place of each."
