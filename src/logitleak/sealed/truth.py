"""The sealed side: what clients hold and what evaluation compares with. Attacks never import this file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from logitleak.types import ClientData, PublicData


@dataclass(frozen=True)
class GroundTruth:
    """What an attack tries to rebuild.

    Attributes:
        images: uint8 [n, 3, H, W], all private images of all clients.
        labels: int64 [n].
        owners: int64 [n], the client that holds each image; -1 where nobody said (recorded federations). Where clients
            share classes the images of one label have several owners.
        held_images, held_labels: sensitive images that nobody trained on, for utility; may be empty.
        public_labels: int64 [N], whom each public image shows. In a labelled federation they are the labels of
            the public set. In an unlabelled one nobody there has them, and people who are no class are numbered
            from J; evaluation compares reconstructions with their public means all the same. -1 where nobody
            said whom an image shows.
        names: the name of every label, in a labelled federation J of them.
        designated: int64 [T], for each target the client whose images and uploads stand for it where several hold it,
            drawn before anything is trained; None for the first owner of its images.
    """

    images: Tensor
    labels: Tensor
    owners: Tensor
    held_images: Tensor
    held_labels: Tensor
    public_labels: Tensor
    names: Sequence[str]
    designated: Tensor | None = None

    @property
    def target_labels(self) -> Tensor:
        """int64 [T], ascending."""
        labels: Tensor = torch.unique(self.labels)
        return labels

    def client(self, k: int, used: Tensor | None = None) -> ClientData:
        """The private set of client k; of the images that a game lets take part, bool [n], where one is played."""
        rows = self.owners == k if used is None else (self.owners == k) & used
        return ClientData(self.images[rows], self.labels[rows])

    def owner_of(self, label: int) -> int:
        """The client that holds this identity; of several, the designated one."""
        if self.designated is not None:
            return int(self.designated[int(torch.searchsorted(self.target_labels, label))])
        return int(self.owners[self.labels == label][0])

    def holders_of(self, label: int) -> frozenset[int]:
        """All clients that hold images of this identity."""
        return frozenset(self.owners[self.labels == label].tolist())

    def holdings(self, clients: int, targets: Tensor, used: Tensor | None = None) -> Tensor:
        """Private images of each target [T], ascending, at each client, int64 [K, T]; of those that a game lets take
        part, bool [n], where one is played."""
        counted = self.owners >= 0 if used is None else (self.owners >= 0) & used
        found = torch.zeros(clients, len(targets), dtype=torch.int64)
        places = torch.searchsorted(targets, self.labels[counted])
        found.index_put_((self.owners[counted], places), torch.ones_like(places), accumulate=True)
        return found

    @property
    def shared(self) -> bool:
        """Whether some identity is at several clients."""
        held = set(zip(self.labels.tolist(), self.owners.tolist(), strict=True))
        return len(held) > len(self.target_labels)


@dataclass(frozen=True)
class Split:
    """A data set, divided: what everybody has, and what stays sealed."""

    public: PublicData
    truth: GroundTruth
    num_classes: int


def unlabelled(split: Split) -> Split:
    """The same division where nobody labels the public set (DS-FL): the classes are the private ones alone.

    Targets are numbered 0..T−1 in their old order, and everybody else from T on, for evaluation only. Of the
    held-out images those of targets remain: no model has a class for the others.
    """
    truth = split.truth
    targets = truth.target_labels
    others = torch.tensor(sorted(set(range(len(truth.names))) - set(targets.tolist())), dtype=torch.int64)
    order = torch.cat([targets, others])
    number = torch.empty_like(order)
    number[order] = torch.arange(len(order))
    kept = torch.isin(truth.held_labels, targets)
    return Split(
        public=PublicData(split.public.images, None, split.public.sensitive),
        truth=GroundTruth(
            images=truth.images,
            labels=number[truth.labels],
            owners=truth.owners,
            held_images=truth.held_images[kept],
            held_labels=number[truth.held_labels[kept]],
            public_labels=torch.where(
                truth.public_labels < 0, truth.public_labels, number[truth.public_labels.clamp_min(0)]
            ),
            names=[truth.names[label] for label in order.tolist()],
            designated=truth.designated,
        ),
        num_classes=len(targets),
    )


def label_means(images: Tensor, labels: Tensor, wanted: Tensor) -> Tensor:
    """Mean image of each wanted label.

    Args:
        images: uint8 [n, 3, H, W].
        labels: int64 [n].
        wanted: int64 [m]; each must occur in ``labels``.

    Returns:
        float32 [m, 3, H, W] in [0, 1].
    """
    means = torch.empty(len(wanted), *images.shape[1:])
    for i, label in enumerate(wanted.tolist()):
        means[i] = images[labels == label].to(torch.float64).mean(0).div(255).to(torch.float32)
    return means
