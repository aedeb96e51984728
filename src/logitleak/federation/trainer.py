"""How a client with training defenses learns its private images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from logitleak.defenses.training import Lesson, TrainingDefense
from logitleak.federation.bank import ModelBank
from logitleak.files.model_state import under
from logitleak.seeds import derive
from logitleak.types import ClientData


class Trainer:
    """All training defenses of one client, in their order, around its private training. With none that does anything
    the client learns to the bit what `ModelBank.fit` would teach it.

    Args:
        defenses: at least one; see `logitleak.stages.combined` for which ones bear each other.
    """

    def __init__(self, defenses: Sequence[TrainingDefense]) -> None:
        self.defenses = list(defenses)
        self._instead = next((each for each in defenses if each.alone), None)

    def fit(
        self,
        bank: ModelBank,
        data: ClientData,
        epochs: int,
        phase: str,
        round: int,
        tell: Callable[[int, float], None],
    ) -> None:
        """Learn private images for at most so many epochs.

        Args:
            bank: the client's model alone.
            data: its private images.
            epochs: as the scheme has it.
            phase: what the scheme calls this.
            round: from 1; 0 before the first.
            tell: called with the epoch from 1 and its mean loss, after each.

        Raises:
            UserError: a defense does not let the client learn more.
        """
        (model,), (optimizer,), (member,) = bank.models, bank.optimizers, bank.members
        images, labels = self._chosen(data, phase, round)
        bank.refuse_too_few([len(labels)])
        images, labels = images.to(bank.device), labels.to(bank.device)
        lesson = Lesson(
            model, optimizer, images, labels, bank.optimization.batch, partial(bank.logits, model)
        )
        order = derive(bank.seed, "order", phase, round, member)
        with ExitStack() as stack:
            stack.enter_context(bank.noise(phase, round, member))
            for defense in self.defenses:
                stack.enter_context(defense.attached(model))
            for epoch in range(1, epochs + 1) if len(labels) else ():
                if any(defense.enough(lesson) for defense in self.defenses):
                    break
                if self._instead is None:
                    tell(epoch, bank.epoch(0, images, [labels], self._loss, order))
                else:
                    tell(epoch, self._instead.epoch(lesson))
        optimizer.zero_grad()  # as after any training

    def state(self) -> dict[str, Tensor]:
        """What the defenses keep from one phase to the next, by their places."""
        return {
            f"{place}/{name}": value
            for place, defense in enumerate(self.defenses)
            for name, value in defense.state().items()
        }

    def load_state(self, table: dict[str, Tensor]) -> None:
        """Take back what `state` gave."""
        for place, defense in enumerate(self.defenses):
            defense.load_state(under(table, f"{place}/"))

    def _chosen(self, data: ClientData, phase: str, round: int) -> tuple[Tensor, Tensor]:
        images, labels = data.images, data.labels
        for defense in self.defenses:
            defense.begin(phase, round)
            rows = defense.choose(images, labels)
            images, labels = images[rows], labels[rows]
        return images, labels

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross entropy toward what the defenses make of the labels, and what they add to it."""
        plain = F.one_hot(labels, logits.shape[-1]).to(logits.dtype)
        wanted = plain
        for defense in self.defenses:
            wanted = defense.targets(wanted)
        # rows of zeros and ones give the same loss as labels, in other bits
        value = F.cross_entropy(logits, labels if torch.equal(wanted, plain) else wanted)
        for defense in self.defenses:
            added = defense.penalty(wanted)
            value = value if added is None else value + added
        return value
