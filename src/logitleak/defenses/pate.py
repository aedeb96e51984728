"""Noisy votes of teachers that never saw each other's images."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from logitleak.defenses.accounting import counted, gaussian_epsilon, upward
from logitleak.defenses.base import Defense, DefenseSettings
from logitleak.defenses.draws import Draws, normal
from logitleak.defenses.inside import Company
from logitleak.defenses.spaces import Kind, onto_simplex
from logitleak.files.finite import all_finite


class PateSettings(DefenseSettings):
    """Settings of the votes.

    Attributes:
        teachers: how many models vote, each trained on its own share of the client's private images.
        sigma: standard deviation of the noise on the count of votes for every class.
        unit: whom ε is about: an image, or a person, all of whose images then go to one teacher.
        delta: δ of the guarantee.
    """

    teachers: int = Field(default=5, ge=2, le=100)
    sigma: float = Field(default=1.0, gt=0, le=1e6)
    unit: Literal["image", "person"] = "image"
    delta: float = Field(default=1e-5, gt=0, lt=1)


class Pate(Defense):
    """The client divides its private images among teachers, which do all that its own model does. For every row each
    votes for its likeliest class; what leaves is the share of votes of every class, with Gaussian noise on every count,
    put back onto the nearest distribution. The client's own model learns from everybody, and its outputs stay at home.

    One image is in one share, so another one changes the votes of one teacher: two counts of every row by one, in every
    round √2 in L2 for a row. The guarantee adds rows and rounds up exactly, as squares; ε is that of the analytic
    Gaussian mechanism (Balle and Wang, 2018), also where teachers learn in a round from what came back of those before.
    It takes no account of votes that agree. After Papernot et al. (2018), on soft votes and for every row.
    """

    Settings = PateSettings
    settings: PateSettings
    looks_inside = True
    strengths = ({"sigma": 0.1}, {"sigma": 1.0}, {"sigma": 10.0})

    def __init__(self, settings: PateSettings, kind: Kind, draws: Draws) -> None:
        super().__init__(settings, kind, draws)
        self.company = Company(settings.teachers, settings.unit)

    @property
    def space(self) -> Kind:
        return "probabilities"

    def on_upload(self, values: Tensor, rows: Tensor, round: int) -> Tensor:
        if self.inside is None:
            raise ValueError("this defense needs the inside of its client")
        said = self.inside.outputs()
        if not all_finite(said):  # a teacher that diverged would vote for the first class
            return torch.full_like(values, torch.nan)
        choices = said.argmax(-1)
        votes = F.one_hot(choices, values.shape[-1]).sum(0).double()
        noised = votes + self.settings.sigma * normal(self.draws.uniform(votes.shape, round))
        return onto_simplex(noised / self.settings.teachers).to(values.dtype)

    def sees(self) -> str:
        s = self.settings
        return (
            f"How {s.teachers} models vote on every row, each trained on a share of the client's private images, with "
            f"Gaussian noise of standard deviation {s.sigma:g} on every count; of the client's own model nothing."
        )

    def epsilon(self, rows: int, rounds: int) -> float:
        """ε at the configured δ of so many rows, in so many uploads."""
        mu = math.sqrt(2 * rows * rounds) / self.settings.sigma
        return gaussian_epsilon(mu, self.settings.delta)

    def guarantee(self, rows: int, rounds: int) -> str:
        s = self.settings
        unit, adjacency = {
            "image": ("a private image", "another image in its place"),
            "person": ("the images of one person or class at the client", "other images of it, or none"),
        }[s.unit]
        epsilon = upward(self.epsilon(rows, rounds))
        return f"{counted(s.delta, rows, rounds)} Unit {unit}, adjacency {adjacency}: ε = {epsilon}"
