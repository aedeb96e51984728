"""An attack that looks at no upload: the control of every game."""

from __future__ import annotations

from torch import Tensor

from logitleak.attacks.base import Attack
from logitleak.types import ServerView


class Blind(Attack):
    """The mean public image of each target's label, whatever clients sent."""

    def observe(self, view: ServerView, round: int) -> None:
        return None

    def reconstruct_client(self, view: ServerView, client: int) -> Tensor:
        known = view.knowledge
        return self.prior.estimate(known, known.target_labels)
