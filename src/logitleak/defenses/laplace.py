"""Laplace noise on rows of bounded size."""

from __future__ import annotations

import math

from pydantic import Field
from torch import Tensor

from logitleak.defenses.base import DefenseSettings
from logitleak.defenses.draws import laplace
from logitleak.defenses.noise import Noise


class LaplaceSettings(DefenseSettings):
    """Settings of Laplace noise.

    Attributes:
        clip: the largest L1 norm of a row; longer ones are scaled down to it.
        scale: scale b of the noise on every entry, in the unit of the outputs; its standard deviation is √2·b.
    """

    clip: float = Field(default=10.0, gt=0, le=1e6)
    scale: float = Field(default=1.0, gt=0, le=1e6)


class Laplace(Noise):
    """Scales every row down to an L1 norm of at most C, then adds independent Laplace noise to every entry, new in each
    round. Probabilities are put back onto the nearest distribution afterward, which costs the guarantee nothing.

    Another answer on one row moves it by at most 2C in L1, or 2·min(C, 1) where outputs are probabilities. The
    guarantee adds rows and rounds up by basic composition, with δ = 0. It is about noise of real numbers:
    floating point is not hardened.
    """

    Settings = LaplaceSettings
    settings: LaplaceSettings
    strengths = ({"scale": 1.0}, {"scale": 10.0}, {"scale": 100.0})
    apart = 2.0

    @property
    def delta(self) -> float:
        """0: the guarantee is a pure one."""
        return 0.0

    @property
    def deviation(self) -> float:
        """√2·b."""
        return math.sqrt(2) * self.settings.scale

    def lengths(self, values: Tensor) -> Tensor:
        """L1 norms."""
        return values.abs().sum(-1, keepdim=True)

    def noise(self, uniform: Tensor) -> Tensor:
        return self.settings.scale * laplace(uniform)

    def sees(self) -> str:
        s = self.settings
        return (
            f"Outputs with rows of an L1 norm of at most {s.clip:g} and Laplace noise of scale {s.scale:g}."
        )

    def epsilon(self, rows: int, rounds: int) -> float:
        """ε, with δ = 0, where answers on so many rows may change, in so many uploads."""
        return self.sensitivity / self.settings.scale * rows * rounds
