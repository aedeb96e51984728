"""Private images are learnt no longer than it takes."""

from __future__ import annotations

import math

from pydantic import Field, model_validator
from torch import Tensor

from logitleak.defenses.base import DefenseSettings
from logitleak.defenses.training import Lesson, TrainingDefense


class EarlyStopSettings(DefenseSettings):
    """Settings of early stopping.

    Attributes:
        loss: no further epoch once the mean loss on the images that are learnt from is at or below this; 0 for never.
        held: share of the private images, drawn once, that is never learnt from; 0 for none.
        patience: with ``held``, no further epoch of a phase once the loss on those has not fallen for so many.
    """

    loss: float = Field(default=0.5, ge=0)
    held: float = Field(default=0.0, ge=0, lt=1)
    patience: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _held_for_patience(self) -> EarlyStopSettings:
        if self.held == 0 and self.patience != 1:
            raise ValueError("patience is about images that are held out; set held too")
        if self.held == 0 and self.loss == 0:
            raise ValueError("nothing would ever stop; set loss or held above 0")
        return self


class EarlyStop(TrainingDefense):
    """Looks at the loss before each epoch on private images, so that also a phase of one epoch may be left out, and
    stops the phase where it is low enough. What is held out stays so in all rounds, and counts in no loss but its own:
    ⌊held · n⌋ of n images.
    """

    Settings = EarlyStopSettings
    settings: EarlyStopSettings
    strengths = ({"loss": 0.2}, {"loss": 0.5}, {"loss": 1.5})
    _out: tuple[Tensor, Tensor] | None = None
    _best: float = math.inf
    _waited: int = 0

    def begin(self, phase: str, round: int) -> None:
        """Patience begins anew in every phase."""
        super().begin(phase, round)
        self._best, self._waited = math.inf, 0

    def choose(self, images: Tensor, labels: Tensor) -> Tensor:
        """All but those that are held out."""
        count = math.floor(self.settings.held * len(labels) + 1e-9)
        if count == 0:
            self._out = None
            return super().choose(images, labels)
        order = self.order(len(labels))
        self._out = images[order[:count]], labels[order[:count]]
        return order[count:].sort().values

    def enough(self, lesson: Lesson) -> bool:
        """Whether one of the two losses says so."""
        s = self.settings
        lesson.model.eval()
        if s.loss > 0 and lesson.mean_loss(lesson.images, lesson.labels) <= s.loss:
            return True
        if self._out is None:
            return False
        device = lesson.images.device
        found = lesson.mean_loss(*(each.to(device) for each in self._out))
        self._waited = 0 if found < self._best else self._waited + 1
        self._best = min(found, self._best)
        return self._waited >= s.patience

    def sees(self) -> str:
        s = self.settings
        until = f"the loss on private images was at most {s.loss:g}" if s.loss > 0 else ""
        held = f"the loss on a held-out share of {s.held:g} no longer fell" if s.held > 0 else ""
        either = ", or ".join(part for part in (until, held) if part) or "its epochs were over"
        return f"Outputs of a model that stopped to learn when {either}."
