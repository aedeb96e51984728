"""Mock targets: public identities that play the target, so that settings can be tuned without the truth.

Some people of D_0 are held out. The view that an attack then gets knows only their insensitive images, as it does
of real targets; their sensitive images are what it has to rebuild. One difference remains and cannot be helped:
every model learnt a mock target's sensitive images, and a real target's were learnt by its owner alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from logitleak.attacks.views import ViewOf
from logitleak.seeds import derive
from logitleak.types import Knowledge, PublicData, ServerView

SHARE = 5
"""One in so many people of D_0 plays the target."""

MOST = 40
"""No more mock targets than this: more cost time and say little more."""


def mock_labels(view: ServerView, seed: int) -> Tensor:
    """Who plays the target, int64 [M], ascending; empty where the public set has no labels or too few people.

    Only people who have insensitive images too are chosen, where anybody has: real targets have them.
    """
    public = view.knowledge.public
    if public.labels is None:
        return torch.empty(0, dtype=torch.int64)
    people = candidates_for_targets(public)
    count = min(MOST, len(people) // SHARE)
    if count < 2:  # one target has no rival among the private means
        return torch.empty(0, dtype=torch.int64)
    order = torch.randperm(len(people), generator=derive(seed, "mock-targets"))
    return people[order[:count]].sort().values


def candidates_for_targets(public: PublicData) -> Tensor:
    """Public people who can stand for targets, int64, ascending: they have sensitive images and, where anybody has,
    insensitive ones too. The public set must be labelled."""
    labels = public.labelled().labels
    people: Tensor = torch.unique(labels[public.sensitive])
    if not bool(public.sensitive.all()):
        people = people[torch.isin(people, labels[~public.sensitive])]
    return people


class MockView(ViewOf):
    """A server's view in which some public people are the targets, and their sensitive images are gone.

    Args:
        view: the real view; its public set must be labelled.
        labels: int64 [M], who plays the target.
        shown: the clients that are shown.
    """

    def __init__(self, view: ServerView, labels: Tensor, shown: Sequence[int]) -> None:
        public = view.knowledge.public.labelled()
        self.hidden = public.sensitive & torch.isin(public.labels, labels)
        super().__init__(view)
        self._kept = torch.nonzero(~self.hidden).flatten()
        self._number = torch.cumsum(~self.hidden, 0) - 1  # old row to new row, where it is kept
        seen = PublicData(public.images[self._kept], public.labels[self._kept], public.sensitive[self._kept])
        self.knowledge = Knowledge(seen, labels, view.knowledge.num_classes)
        self._shown = list(shown)
        self.clients = len(self._shown)

    def client_logits(self, client: int, round: int) -> tuple[Tensor, Tensor]:
        rows, values = self.inner.client_logits(self._shown[client], round)
        kept = ~self.hidden[rows]
        return self._number[rows[kept]], values[kept]

    def server_logits(self, round: int) -> Tensor:
        return self.inner.server_logits(round)[self._kept]

    def shadow_logits(self, shadow: int, round: int) -> Tensor:
        return self.inner.shadow_logits(shadow, round)[self._kept]
