"""Gaussian noise on rows of bounded length."""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor

from logitleak.defenses.accounting import gaussian_epsilon
from logitleak.defenses.base import DefenseSettings
from logitleak.defenses.draws import normal
from logitleak.defenses.noise import Noise


class GaussianSettings(DefenseSettings):
    """Settings of Gaussian noise.

    Attributes:
        clip: the largest L2 norm of a row; longer ones are scaled down to it.
        sigma: standard deviation of the noise on every entry, in the unit of the outputs.
        delta: δ of the guarantee, which is then computed as an ε.
    """

    clip: float = Field(default=10.0, gt=0, le=1e6)
    sigma: float = Field(default=1.0, gt=0, le=1e6)
    delta: float = Field(default=1e-5, gt=0, lt=1)


class Gaussian(Noise):
    """Scales every row down to an L2 norm of at most C, then adds independent Gaussian noise to every entry, new in
    each round. Probabilities are put back onto the nearest distribution afterward, which costs the guarantee nothing.

    Another answer on one row moves it by at most 2C, or √2·min(C, 1) where outputs are probabilities: then no entry is
    negative and the norm is at most 1. The guarantee adds rows and rounds up exactly, as squares, and ε is that of the
    analytic Gaussian mechanism (Balle and Wang, 2018). It is about noise of real numbers: floating point is not
    hardened.
    """

    Settings = GaussianSettings
    settings: GaussianSettings
    strengths = ({"sigma": 1.0}, {"sigma": 10.0}, {"sigma": 100.0})
    apart = math.sqrt(2)

    @property
    def delta(self) -> float:
        """As configured."""
        return self.settings.delta

    @property
    def deviation(self) -> float:
        """σ."""
        return self.settings.sigma

    def lengths(self, values: Tensor) -> Tensor:
        """L2 norms."""
        return torch.linalg.vector_norm(values, dim=-1, keepdim=True)

    def noise(self, uniform: Tensor) -> Tensor:
        return self.settings.sigma * normal(uniform)

    def sees(self) -> str:
        s = self.settings
        noise = f"Gaussian noise of standard deviation {s.sigma:g}"
        return f"Outputs with rows of an L2 norm of at most {s.clip:g} and {noise}."

    def guarantee(self, rows: int, rounds: int) -> str:
        left = self.settings.sigma / math.sqrt(max(1, rows))
        return f"{super().guarantee(rows, rounds)}; averaged over {rows} rows this noise is {left:.3g}"

    def epsilon(self, rows: int, rounds: int) -> float:
        """ε at the configured δ where answers on so many rows may change, in so many uploads."""
        mu = self.sensitivity / self.settings.sigma * math.sqrt(rows * rounds)
        return gaussian_epsilon(mu, self.settings.delta)
