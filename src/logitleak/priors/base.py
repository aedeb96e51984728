"""What a prior is (section 3.3 of the paper)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from logitleak.types import Knowledge


class PriorSettings(BaseModel):
    """Hyper-parameters of a prior; none by default."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Prior(ABC):
    """An estimate x̄_j of a private image for each label, from the server's knowledge alone.

    Class attributes:
        Settings: the pydantic model of its hyper-parameters.
        needs_labels: whether the public set must be labelled. Translators need the labels of D_a; where
            the public set is unlabelled (DS-FL) only the mean prior is allowed.
    """

    Settings: ClassVar[type[PriorSettings]] = PriorSettings
    needs_labels: ClassVar[bool] = False

    def __init__(self, settings: Any, seed: int) -> None:
        self.settings = settings
        self.seed = seed

    @abstractmethod
    def estimate(self, knowledge: Knowledge, labels: Tensor) -> Tensor:
        """The prior image of each label.

        Args:
            knowledge: what the server knows.
            labels: int64 [m], targets or not.

        Returns:
            float32 [m, 3, H, W] in [0, 1].

        Raises:
            UserError: the public set has not what the prior needs.
        """

    def estimate_rows(self, knowledge: Knowledge, rows: Tensor) -> Tensor:
        """The prior image of the label of each public row, float32 [n, 3, H, W]; every label is estimated once.

        Where the public set has no labels all rows count as one label, which only a prior that needs none allows.
        """
        labels = knowledge.public.labels
        wanted = torch.zeros(len(rows), dtype=torch.int64) if labels is None else labels[rows]
        unique, where = torch.unique(wanted, return_inverse=True)
        return self.estimate(knowledge, unique)[where]
