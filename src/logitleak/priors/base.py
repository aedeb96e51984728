"""What a prior is (section 3.3 of the paper)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from logitleak.errors import UserError
from logitleak.machine.forecast import Scale
from logitleak.strict import Strict
from logitleak.types import Knowledge, LabelledPublicData

Listener = Callable[[int, float], None]
"""(training step from 1, loss); a prior that learns calls it once for every step."""


class PriorSettings(Strict):
    """Hyper-parameters of a prior; none by default."""


class Prior(ABC):
    """An estimate x̄_j of a private image for each label, from the server's knowledge alone.

    Args:
        settings: an instance of the class's ``Settings``.
        seed: a prior derives its generators from it.
        device: where it computes.
        home: a folder where a prior that learns keeps its weights and checkpoints; None keeps nothing.

    Attributes:
        listener: who is told of training steps.
        Settings: the pydantic model of its hyper-parameters.
        needs_labels: whether the public set must be labelled; `LabelPrior` says so by its type.
        learns: whether `prepare` takes a while.
    """

    Settings: ClassVar[type[PriorSettings]] = PriorSettings
    needs_labels: ClassVar[bool] = False
    learns: ClassVar[bool] = False

    def __init__(
        self, settings: Any, seed: int, device: torch.device | str = "cpu", home: Path | None = None
    ) -> None:
        self.settings = settings
        self.seed = seed
        self.home = home
        self.device = torch.device(device)
        self.listener: Listener = lambda step, loss: None

    def check(self, knowledge: Knowledge) -> None:
        """Raise a `UserError` unless the public set has what this prior needs."""
        return None

    def steps_planned(self, knowledge: Knowledge) -> int:
        """How many training steps `prepare` takes; 0 for a prior that does not learn."""
        return 0

    def prepare(self, knowledge: Knowledge) -> None:
        """Learn what there is to learn from the public set; `estimate` does it where nobody did."""
        return None

    def memory(self, scale: Scale) -> int:
        """About how many bytes it holds at most, besides the public set: an image for each label, thrice."""
        return 3 * scale.people * scale.image

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

    def estimate_rows(self, knowledge: Knowledge, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The prior images of the labels of some public rows: one for each label, since a label has many rows.

        Where the public set has no labels all rows count as one label, which only a prior that needs none allows.

        Returns:
            images float32 [m, 3, H, W] of m labels, and for each row its place among them, int64 [n].
        """
        labels = knowledge.public.labels
        wanted = torch.zeros(len(rows), dtype=torch.int64) if labels is None else labels[rows]
        unique, where = torch.unique(wanted, return_inverse=True)
        return self.estimate(knowledge, unique), where


class LabelPrior(Prior):
    """A prior for each label (Eq. 9). It takes a `LabelledPublicData`: where the public set is unlabelled
    (DS-FL) there is no such thing, and only the mean prior is left."""

    needs_labels = True

    def check(self, knowledge: Knowledge) -> None:
        if knowledge.public.labels is None:
            raise UserError(
                'This prior needs labels of the public set, and it has none; use the prior "mean" (Eq. 8).'
            )
        if not bool(knowledge.public.sensitive.any()):
            raise UserError("This prior needs sensitive public images (D_0), and there are none.")
        if bool(knowledge.public.sensitive.all()):
            raise UserError(
                'This prior needs insensitive public images (D_a), and there are none; use the prior "mean" (Eq. 8).'
            )

    def estimate(self, knowledge: Knowledge, labels: Tensor) -> Tensor:
        self.check(knowledge)
        self.prepare(knowledge)
        return self.estimate_labels(knowledge.public.labelled(), labels)

    @abstractmethod
    def estimate_labels(self, public: LabelledPublicData, labels: Tensor) -> Tensor:
        """The prior image of each label, float32 [m, 3, H, W] in [0, 1]; see `estimate`."""
