"""Features that are left out while private images are learnt."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from pydantic import Field
from torch import Tensor, nn

from logitleak.defenses.base import DefenseSettings
from logitleak.defenses.training import TrainingDefense, last_linear, need_features


class DropoutSettings(DefenseSettings):
    """Settings of dropout.

    Attributes:
        rate: with which chance each feature of an image is left out.
    """

    rate: float = Field(default=0.5, gt=0, lt=1)


class Dropout(TrainingDefense):
    """While private images are learnt each input of the last linear layer is 0 with chance p, and else divided by
    1 − p (Srivastava et al., 2014). Others are left out for each image, in each step.
    """

    Settings = DropoutSettings
    settings: DropoutSettings
    strengths = ({"rate": 0.25}, {"rate": 0.5}, {"rate": 0.8})

    def check_model(self, name: str, model: nn.Module) -> None:
        """It needs a last linear layer."""
        need_features("dropout", name, model)

    def attached(self, model: nn.Module) -> AbstractContextManager[Any]:
        """Hung onto the last linear layer."""
        layer = last_linear(model)
        assert layer is not None  # models were checked

        def leave_out(module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...] | None:
            if not module.training:
                return None
            features: Tensor = given[0]
            kept = (self.uniform(*features.shape) >= self.settings.rate).to(features.device, features.dtype)
            return (features * kept / (1 - self.settings.rate), *given[1:])

        return layer.register_forward_pre_hook(leave_out)

    def sees(self) -> str:
        return f"Outputs of a model that learnt private images with {self.settings.rate:.0%} of its features left out."
