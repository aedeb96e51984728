"""Inverting gradients (Geiping et al., 2020): what weights give away, to compare logits with."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import NonNegativeFloat
from torch import Tensor

from logitleak.attacks.matching import GradientMatching, MatchingSettings, cosine_distance
from logitleak.metrics.image import total_variation


class GSSettings(MatchingSettings):
    """The values of the FedMD paper's comparison.

    Attributes:
        tv: weight of total variation.
    """

    tv: NonNegativeFloat = 0.01


class GS(GradientMatching):
    """Minimizes 1 − cos(gradient of the dummies, gradient of the client) + tv · TV by Adam, with pixels in [0, 1]: the
    direction alone is matched, so the number of steps that a client sums up in it does not matter."""

    Settings = GSSettings
    settings: GSSettings

    def distance(self, found: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
        return cosine_distance(found, wanted)

    def regularizer(self, images: Tensor, soft: Tensor | None, labels: Tensor) -> Tensor:
        return self.settings.tv * total_variation(images).mean()
