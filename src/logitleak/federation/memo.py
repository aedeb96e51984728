"""What models learn from the public set alone, kept: worlds that differ in private data need not learn it twice."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from logitleak.federation.bank import Loss, ModelBank, Targets
from logitleak.files.storage import read_json, read_tensors, write_json, write_tensors
from logitleak.types import PublicData

Tell = Callable[[int, int, float], None]
"""(model index, epoch from 1, mean loss)."""


class Memo:
    """A folder of model states by what they were learnt from; it belongs to one public set.

    Args:
        folder: where states are kept.
        public: the public set. It is known by its tensors themselves, so that nothing equal is ever taken for it.
    """

    def __init__(self, folder: Path, public: PublicData) -> None:
        self._folder = folder
        self._public = public

    def is_public(self, images: Sequence[Tensor], targets: Sequence[Targets]) -> bool:
        """Whether this is training on the public images and their labels, and on nothing else."""
        return all(each is self._public.images for each in images) and all(
            each is self._public.labels for each in targets
        )

    def once(
        self, bank: ModelBank, lineage: Sequence[Any], train: Callable[[Tell], list[float]], tell: Tell
    ) -> list[float]:
        """Train a bank, or give it the state that the same training led to before.

        Args:
            bank: as all the training in ``lineage`` but the last has left it.
            lineage: what it learnt so far, this training included.
            train: does this training and tells of every epoch.
            tell: hears of every epoch, either way. Where it ends a training that diverged, nothing is kept; where it
            does not, losses that are not finite are NaN when they are told again.
        """
        described = [bank.architecture, bank.members, bank.seed, bank.optimization, *lineage]
        name = hashlib.sha256(repr(described).encode()).hexdigest()[:16]
        states, words = self._folder / f"{name}.safetensors", self._folder / f"{name}.json"
        if words.exists():
            bank.load_state(read_tensors(states))
            kept = read_json(words)
            for k, epoch, value in kept["told"]:
                tell(k, epoch, float("nan") if value is None else value)
            return [float("nan") if loss is None else loss for loss in kept["losses"]]
        told: list[list[Any]] = []

        def listen(k: int, epoch: int, value: float) -> None:
            tell(k, epoch, value)
            told.append([k, epoch, _written(value)])

        losses = train(listen)
        write_tensors(states, bank.state())
        written = [_written(loss) for loss in losses]
        write_json(words, {"told": told, "losses": written})  # last: a state without it does not count
        return losses


def _written(loss: float) -> float | None:
    """JSON has no numbers that are not finite."""
    return loss if math.isfinite(loss) else None


class RememberingBank(ModelBank):
    """A bank that trains on public data once for all worlds. From the first private image, or message of somebody
    else, on it is a plain bank."""

    def __init__(self, *args: Any, memo: Memo, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._memo = memo
        self._lineage: list[Any] | None = []  # None: it has learnt what other worlds need not share

    def fit(
        self,
        images: Sequence[Tensor],
        targets: Sequence[Targets],
        loss: Loss,
        epochs: int,
        purpose: Sequence[str | int],
        on_epoch: Callable[[int, int, float], None] | None = None,
    ) -> list[float]:
        """See `ModelBank.fit`."""
        train = super().fit
        if self._lineage is None or not self._memo.is_public(images, targets):
            self._lineage = None
            return train(images, targets, loss, epochs, purpose, on_epoch)
        lineage = [*self._lineage, [list(purpose), epochs, loss.__name__]]
        losses = self._memo.once(
            self,
            lineage,
            lambda listen: train(images, targets, loss, epochs, purpose, listen),
            on_epoch or (lambda k, epoch, value: None),
        )
        self._lineage = lineage  # taking back a state clears it
        return losses

    def part(self, chosen: Sequence[int]) -> ModelBank:
        """See `ModelBank.part`. What a part learns, this bank does not hear of."""
        self._lineage = None
        return super().part(chosen)

    def set_weights(self, k: int, weights: Any) -> None:
        """See `ModelBank.set_weights`."""
        self._lineage = None
        super().set_weights(k, weights)

    def load_state(self, table: Any) -> None:
        """See `ModelBank.load_state`."""
        self._lineage = None
        super().load_state(table)
