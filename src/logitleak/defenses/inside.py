"""What a defense may know of its client besides the outputs: asked for by few, and told to nobody else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from logitleak.types import Payload


@dataclass(frozen=True)
class Company:
    """Models that a client trains beside its own, for a defense.

    Attributes:
        teachers: how many, each on a share of the private images; 0 for an *understudy*, which is one model that begins
            as the client's own does and learns nothing from private images.
        unit: what is not divided among teachers: an image, or all images of a class.
    """

    teachers: int = 0
    unit: Literal["image", "person"] = "image"

    @property
    def name(self) -> str:
        """What its state is called in checkpoints."""
        return f"teachers-{self.teachers}-{self.unit}" if self.teachers else "understudy"

    @property
    def models(self) -> int:
        """How many there are."""
        return self.teachers or 1

    def shares(self, labels: Tensor) -> list[Tensor]:
        """Which private images every model learns from: places int64, for labels int64 [n]. They are disjoint. An image
        has its share by its place, a class by its number: what becomes of others does not move it."""
        if not self.teachers:
            return [labels.new_empty(0)]
        of = torch.arange(len(labels)) if self.unit == "image" else labels
        return [torch.nonzero(of % self.teachers == teacher)[:, 0] for teacher in range(self.teachers)]


class Inside(Protocol):
    """The inside of one client, with the models of a `Company`. They hear every message that the client hears.

    Attributes:
        held: int64 [m], ascending: the classes of the client's private images.
    """

    @property
    def held(self) -> Tensor: ...

    def follow(self, action: str, round: int, message: Payload) -> None:
        """Have the models do what the client does."""

    def outputs(self) -> Tensor:
        """What they would have uploaded when the client last did: [models, n, J], in the form that the scheme
        sends."""
