"""The sealed side: what clients hold and what evaluation compares with. Attacks never import this file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from logitleak.types import PublicData


@dataclass(frozen=True)
class ClientData:
    """The private set D_k of one client: images uint8 [n, 3, H, W] and labels int64 [n]."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class GroundTruth:
    """What an attack tries to rebuild.

    Attributes:
        images: uint8 [n, 3, H, W], all private images of all clients.
        labels: int64 [n].
        owners: int64 [n], the client that holds each image.
        held_images, held_labels: sensitive images that nobody trained on, for utility; may be empty.
        names: the name of every label, J of them.
    """

    images: Tensor
    labels: Tensor
    owners: Tensor
    held_images: Tensor
    held_labels: Tensor
    names: Sequence[str]

    @property
    def target_labels(self) -> Tensor:
        """int64 [T], ascending."""
        labels: Tensor = torch.unique(self.labels)
        return labels

    def client(self, k: int) -> ClientData:
        """The private set of client k."""
        rows = self.owners == k
        return ClientData(self.images[rows], self.labels[rows])

    def owner_of(self, label: int) -> int:
        """The client that holds this identity."""
        return int(self.owners[self.labels == label][0])


@dataclass(frozen=True)
class Split:
    """A data set, divided: what everybody has, and what stays sealed."""

    public: PublicData
    truth: GroundTruth
    num_classes: int


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
