"""The two public domains by label: mean images, and same-identity pairs to learn from."""

from __future__ import annotations

import torch
from torch import Tensor

from logitleak.types import Domain, LabelledPublicData, PublicData

CHUNK = 1024
"""Images that are summed at a time: a public set may hold tens of thousands."""


def mean_image(public: PublicData, rows: Tensor) -> Tensor:
    """The mean of some public images, float32 [3, H, W] in [0, 1]; exact sums, so their order is no matter.

    Args:
        rows: int64 [n], at least one.
    """
    return _group_means(public, rows, torch.zeros_like(rows), 1)[0]


def label_means(public: LabelledPublicData, domain: Domain, labels: Tensor) -> Tensor:
    """Mean image of each label in one domain.

    Args:
        domain: "sensitive" (D_0) or "insensitive" (D_a).
        labels: int64 [m], ascending; each has an image there.

    Returns:
        float32 [m, 3, H, W] in [0, 1].
    """
    rows = public.rows(domain)
    rows = rows[torch.isin(public.labels[rows], labels)]
    return _group_means(public, rows, torch.searchsorted(labels, public.labels[rows]), len(labels))


def shared_labels(public: LabelledPublicData) -> Tensor:
    """The labels with images in both domains, int64, ascending: never a target's, who is not in D_0."""
    sensitive, insensitive = (
        torch.unique(public.labels[public.rows(d)]) for d in ("sensitive", "insensitive")
    )
    return sensitive[torch.isin(sensitive, insensitive)]


class Pairs:
    """Draws rows of D_a and D_0 that show the same identity.

    The server does not know which photographs belong together more closely than that, even where an image of
    D_a was made from one of D_0: any of the one goes with any of the other, and the order of rows says nothing.

    Args:
        public: the public set, with at least one shared label.
        most: a label with more pairs than this is drawn as if it had so many.
    """

    def __init__(self, public: LabelledPublicData, most: int) -> None:
        labels = shared_labels(public)
        self._insensitive = _Groups(public, "insensitive", labels)
        self._sensitive = _Groups(public, "sensitive", labels)
        self._weights = (self._insensitive.counts * self._sensitive.counts).clamp_max(most).double()

    def draw(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Rows of D_a and of D_0, int64 [n] each, the two at one place of the same label."""
        groups = torch.multinomial(self._weights, n, replacement=True, generator=generator)
        return self._insensitive.draw(groups, generator), self._sensitive.draw(groups, generator)


class Unpaired:
    """Draws rows of D_a and D_0 independently, for public sets without a shared label."""

    def __init__(self, public: PublicData) -> None:
        self._insensitive, self._sensitive = public.rows("insensitive"), public.rows("sensitive")

    def draw(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Rows of D_a and of D_0, int64 [n] each."""
        domains = (self._insensitive, self._sensitive)
        a, s = (rows[torch.randint(len(rows), (n,), generator=generator)] for rows in domains)
        return a, s


class _Groups:
    """The rows of each label in one domain, end to end."""

    def __init__(self, public: LabelledPublicData, domain: Domain, labels: Tensor) -> None:
        rows = public.rows(domain)
        rows = rows[torch.isin(public.labels[rows], labels)]
        group = torch.searchsorted(labels, public.labels[rows])
        self.rows = rows[torch.argsort(group, stable=True)]
        self.counts = torch.bincount(group, minlength=len(labels))
        self.starts = self.counts.cumsum(0) - self.counts

    def draw(self, groups: Tensor, generator: torch.Generator) -> Tensor:
        counts = self.counts[groups]
        place = (torch.rand(len(groups), generator=generator, dtype=torch.float64) * counts).long()
        return self.rows[self.starts[groups] + place]


def _group_means(public: PublicData, rows: Tensor, groups: Tensor, count: int) -> Tensor:
    """Mean image of each of ``count`` groups, [count, 3, H, W]; ``groups`` says where each row belongs."""
    total = torch.zeros(count, *public.images.shape[1:], dtype=torch.int64)
    for chunk, into in zip(rows.split(CHUNK), groups.split(CHUNK), strict=True):
        total.index_add_(0, into, public.images[chunk].long())
    sizes = torch.bincount(groups, minlength=count).double()
    return (total / (255 * sizes)[:, None, None, None]).to(torch.float32)
