"""Learning from a part of the private images, drawn once (FedMD-NFDP)."""

from __future__ import annotations

import math

from pydantic import Field
from torch import Tensor

from logitleak.defenses.accounting import upward
from logitleak.defenses.base import DefenseSettings
from logitleak.defenses.training import TrainingDefense


class NFDPSettings(DefenseSettings):
    """Settings of learning from a part.

    Attributes:
        share: of its private images that a client learns from, rounded down: ⌊share · n⌋ of n.
    """

    share: float = Field(default=0.5, gt=0, lt=1)


class NFDP(TrainingDefense):
    """Each client draws k of its n private images once, without replacement, and learns from no other in any round.

    Sun and Lyu (2021) state for it ε = log((n + 1)/(n + 1 − k)) with δ = k/n, "noise-free differential privacy". A δ of
    that size is the chance that an image is learnt from with nothing to hide it; what is called private is only that
    others were left out. With k = ⌊share · n⌋ both are below what they are for the share itself, −log(1 − share) and
    share.
    """

    Settings = NFDPSettings
    settings: NFDPSettings
    strengths = ({"share": 0.75}, {"share": 0.5}, {"share": 0.25})
    first = True

    def choose(self, images: Tensor, labels: Tensor) -> Tensor:
        """The same k images in all rounds."""
        kept = math.floor(self.settings.share * len(labels) + 1e-9)  # .3 · 10 is 3
        return self.order(len(labels))[:kept].sort().values

    def sees(self) -> str:
        return f"Outputs of a model that learnt from {self.settings.share:.0%} of its private images, always the same."

    def guarantee(self, rows: int, rounds: int) -> str:
        share = self.settings.share
        epsilon = -math.log1p(-share)
        return (
            f"by the formula of FedMD-NFDP at most ε = {upward(epsilon)} and δ = {upward(share)}, over {rounds} "
            "rounds. "
            "Unit an image, adjacency one image of this client more or less. A δ of that size promises nothing: it is "
            "the chance that an image is learnt from with no protection at all"
        )
