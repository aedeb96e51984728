"""What a training defense is: a defense that acts while a client learns its private images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from logitleak.defenses.base import Defense
from logitleak.errors import UserError

_PREDICTED = 256
"""Images whose loss is looked at together."""


@dataclass(frozen=True)
class Schedule:
    """How long a client learns its private images in all: in every round, and in every phase that touches them.

    Attributes:
        epochs: over the whole run.
        batch: images in a step.
        images: of each client that has the defense, in every world, how many private images it has; empty where that is
            not known.
    """

    epochs: int
    batch: int
    images: tuple[int, ...] = ()


@dataclass(frozen=True)
class Lesson:
    """One client's model, and the private images that it is about to learn.

    Attributes:
        model: in training or not.
        optimizer: of the model.
        images: uint8 [n, 3, H, W], where the model is.
        labels: int64 [n].
        batch: images in a step.
        logits: from images uint8 [b, 3, H, W] to what the model says of them, [b, J], in the precision of training.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    images: Tensor
    labels: Tensor
    batch: int
    logits: Callable[[Tensor], Tensor]

    @torch.no_grad()
    def mean_loss(self, images: Tensor, labels: Tensor) -> float:
        """The mean cross entropy of some images uint8 [m, 3, H, W], m ≥ 1, with the model as it is."""
        parts = zip(images.split(_PREDICTED), labels.split(_PREDICTED), strict=True)
        return sum(_summed_loss(self.logits(x), y) for x, y in parts) / len(labels)


def _summed_loss(logits: Tensor, labels: Tensor) -> float:
    return float(F.cross_entropy(logits, labels, reduction="sum"))


class TrainingDefense(Defense):
    """Changes how one client learns its private images, and nothing of what it does with the public set; outputs leave
    as the model says them. There is one for each client that has it, and it lasts as long as the client does.

    Attributes:
        alone: whether it bears no other training defense beside it.
        first: whether it must act before all other training defenses of its client.
        rehearsed: settings with which it is timed: its steps take as long, and nothing is looked for before the first.
        schedule: how long the client trains in all; None where it is only described or checked.
    """

    alone: ClassVar[bool] = False
    first: ClassVar[bool] = False
    rehearsed: ClassVar[Mapping[str, Any]] = {}
    schedule: Schedule | None = None
    _names: tuple[str | int, ...] = ()
    _drawn: int = 0
    _order: Tensor | None = None

    def on_upload(self, values: Tensor, rows: Tensor, round: int) -> Tensor:
        """The same: what it did is in the model."""
        return values

    def check_installed(self) -> None:
        """Raise a `UserError` where it needs a package that is not here; by default it needs none."""
        return None

    def check_model(self, name: str, model: nn.Module) -> None:
        """Raise a `UserError` where a model cannot be trained so.

        Args:
            name: of the architecture.
            model: as it is made; it may have shapes only.
        """
        return None

    def begin(self, phase: str, round: int) -> None:
        """Hear that the client is about to learn its private images in a phase of a round."""
        self._names, self._drawn = (phase, round), 0

    def choose(self, images: Tensor, labels: Tensor) -> Tensor:
        """Which of some private images are learnt from: row numbers int64 [m], all by default.

        Args:
            images: uint8 [n, 3, H, W].
            labels: int64 [n].
        """
        return torch.arange(len(labels))

    def attached(self, model: nn.Module) -> AbstractContextManager[Any]:
        """What is hung onto the model for as long as the client learns, such as a hook; nothing by default."""
        return nullcontext()

    def enough(self, lesson: Lesson) -> bool:
        """Whether to stop before the next epoch; never, by default."""
        return False

    def targets(self, targets: Tensor) -> Tensor:
        """What a batch is to be taken for, [b, J], rows that add up to 1, in place of its labels."""
        return targets

    def penalty(self, targets: Tensor) -> Tensor | None:
        """What is added to a batch's loss, a scalar, after the model has seen the batch; None for nothing.

        Args:
            targets: what the batch is taken for, [b, J], rows that add up to 1.
        """
        return None

    def epoch(self, lesson: Lesson) -> float:
        """One epoch in place of the usual one, where the defense is `alone`; the mean loss over the images."""
        raise NotImplementedError

    def state(self) -> dict[str, Tensor]:
        """What it keeps from one phase to the next; needed to go on after an interruption."""
        return {} if self._order is None else {"order": self._order}

    def load_state(self, table: dict[str, Tensor]) -> None:
        """Take back what `state` gave."""
        self._order = table.get("order")

    def uniform(self, *shape: int) -> Tensor:
        """The next uniform numbers of this phase, float64 in (0, 1): others each time."""
        self._drawn += 1
        return self.draws.uniform(shape, *self._names, self._drawn)

    def order(self, count: int) -> Tensor:
        """One random order of a client's private images, int64 [n], the same in all rounds.

        Raises:
            UserError: there are others than in the round before.
        """
        if self._order is None:
            self._order = self.draws.uniform((count,), "order").argsort()
        if len(self._order) != count:
            raise UserError(
                f"A client had {len(self._order)} private images and now has {count}; leave them as they are."
            )
        return self._order


def last_linear(model: nn.Module) -> nn.Linear | None:
    """The last linear layer of a model, whose inputs are its features; None where there is none."""
    found = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    return found[-1] if found else None


def need_features(defense: str, name: str, model: nn.Module) -> None:
    """Raise a `UserError` where a model has no linear layer, whose inputs a defense acts on."""
    if last_linear(model) is None:
        raise UserError(
            f'The defense {defense} acts on the inputs of the last linear layer, and "{name}" has no linear layer; '
            "use another model, or leave the defense out."
        )
