"""Labels of which a share goes to all classes alike."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from logitleak.defenses.base import DefenseSettings
from logitleak.defenses.training import TrainingDefense


class LabelSmoothingSettings(DefenseSettings):
    """Settings of smoothed labels.

    Attributes:
        share: of a label that goes to all J classes alike.
    """

    share: float = Field(default=0.1, gt=0, le=1)


class LabelSmoothing(TrainingDefense):
    """Private images are learnt toward (1 − s)·y + s/J in place of their label y (Szegedy et al., 2016)."""

    Settings = LabelSmoothingSettings
    settings: LabelSmoothingSettings
    strengths = ({"share": 0.1}, {"share": 0.3}, {"share": 0.6})

    def targets(self, targets: Tensor) -> Tensor:
        """Smoothed."""
        share = self.settings.share
        return (1 - share) * targets + share / targets.shape[-1]

    def sees(self) -> str:
        return f"Outputs of a model that learnt private labels of which {self.settings.share:g} went to all classes."
