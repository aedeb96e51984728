"""What an inversion network learns from, in mini-batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Examples:
    """What a network learns from in a round. Pixels stay bytes and a label's prior stays one image until a batch wants
    them: as floats for every row they would take eight times the room of the public set.

    Attributes:
        inputs: float32 [n, width].
        pixels: uint8 [N, 3, H, W], the public set.
        rows: int64 [n], where each example is in it.
        priors: the priors of m labels, float32 [m, 3, H, W] in [−1, 1], and the place of each example among them, int64
            [n]; None where γ is 0.
    """

    inputs: Tensor
    pixels: Tensor
    rows: Tensor
    priors: tuple[Tensor, Tensor] | None

    def __len__(self) -> int:
        return len(self.rows)

    def images(self, batch: Tensor) -> Tensor:
        """These examples' images, float32 [b, 3, H, W] in [−1, 1]."""
        return to_network_range(self.pixels[self.rows[batch]].to(torch.float32).div_(255))

    def wanted(self, batch: Tensor) -> Tensor | None:
        """Their priors, as their images."""
        if self.priors is None:
            return None
        images, place = self.priors
        return images[place[batch]]


@dataclass(frozen=True)
class PriorPull:
    """The target inputs and their priors of Eq. 10: inputs [T, width], priors [T, 3, H, W] in [−1, 1]."""

    inputs: Tensor
    priors: Tensor


def to_network_range(pixels: Tensor) -> Tensor:
    """[0, 1] to [−1, 1]."""
    return pixels * 2 - 1


def batches(
    images: int, batch: int, steps: int, generator: torch.Generator, device: torch.device
) -> Iterator[Tensor]:
    """Row ids of ``steps`` mini-batches, shuffled anew for every pass and moved to the device once for each. A last
    batch of one is left out: batch normalization has no statistics of a single image."""
    done = 0
    while done < steps:
        for rows in torch.randperm(images, generator=generator).to(device).split(batch):
            if len(rows) > 1 and done < steps:
                yield rows
                done += 1


def batches_per_epoch(images: int, batch: int) -> int:
    """How many of them a pass has."""
    return images // batch + (images % batch > 1)
