"""Laplace noise on rows of bounded size."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from logitleak.defenses.accounting import promise, upward
from logitleak.defenses.base import Defense, DefenseSettings
from logitleak.defenses.draws import laplace
from logitleak.defenses.spaces import onto_simplex


class LaplaceSettings(DefenseSettings):
    """Settings of Laplace noise.

    Attributes:
        clip: the largest L1 norm of a row; longer ones are scaled down to it.
        scale: scale b of the noise on every entry, in the unit of the outputs; its standard deviation is √2·b.
    """

    clip: float = Field(default=10.0, gt=0, le=1e6)
    scale: float = Field(default=1.0, gt=0, le=1e6)


class Laplace(Defense):
    """Scales every row down to an L1 norm of at most C, then adds independent Laplace noise to every entry, new in each
    round. Probabilities are put back onto the nearest distribution afterward, which costs the guarantee nothing.

    Another answer on one row moves it by at most 2C in L1, or 2·min(C, 1) where outputs are probabilities. The
    guarantee adds rows and rounds up by basic composition, with δ = 0. It is about noise of real numbers:
    floating point is not hardened.
    """

    Settings = LaplaceSettings
    settings: LaplaceSettings

    @property
    def sensitivity(self) -> float:
        """By how much another answer on one row may move that row, in L1."""
        clip = self.settings.clip
        return 2 * (clip if self.kind == "logits" else min(clip, 1.0))

    def on_upload(self, values: Tensor, rows: Tensor, round: int) -> Tensor:
        exact = values.double()
        norms = exact.abs().sum(-1, keepdim=True)
        exact = exact * (self.settings.clip / norms.clamp_min(1e-300)).clamp_max(1)
        noised = exact + self.settings.scale * laplace(self.draws.uniform(exact.shape, round))
        return (noised if self.kind == "logits" else onto_simplex(noised)).to(values.dtype)

    def sees(self) -> str:
        s = self.settings
        return (
            f"Outputs with rows of an L1 norm of at most {s.clip:g} and Laplace noise of scale {s.scale:g}."
        )

    def epsilon(self, rows: int, rounds: int) -> float:
        """ε, with δ = 0, where answers on so many rows may change, in so many uploads."""
        return self.sensitivity / self.settings.scale * rows * rounds

    def guarantee(self, rows: int, rounds: int) -> str:
        client, row = (upward(self.epsilon(count, rounds)) for count in (rows, 1))
        return promise(client, row, 0, rows, rounds)
