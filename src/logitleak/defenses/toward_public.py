"""Outputs moved toward those of a model that learnt nothing private."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from logitleak.defenses.accounting import counted
from logitleak.defenses.base import Defense, DefenseSettings
from logitleak.defenses.inside import Company


class TowardPublicSettings(DefenseSettings):
    """Settings of the mixture.

    Attributes:
        share: how much of what leaves is the understudy's; with 1 nothing else leaves.
    """

    share: float = Field(default=0.5, ge=0, le=1)


class TowardPublic(Defense):
    """Every row is moved toward what the client would say without its private images: (1 − w)·own + w·understudy, on
    logits or on probabilities, whichever the scheme sends.

    A perturbation with a direction: of what private images changed it leaves the share 1 − w, in every entry alike, and
    it changes nothing that they did not. So the same w costs every attack its signal but not its noise, of which there
    is none: whoever compares with f₀ sees the change again, only smaller. With w = 1 what leaves is a function of the
    public set and of what the server sent, and of no private image of this client: ε = 0.

    The understudy (see `logitleak.defenses.hide_column`) costs the client a second training on the public set.
    """

    Settings = TowardPublicSettings
    settings: TowardPublicSettings
    company = Company()
    strengths = ({"share": 0.5}, {"share": 0.9}, {"share": 1.0})

    def on_upload(self, values: Tensor, rows: Tensor, round: int) -> Tensor:
        if self.inside is None:
            raise ValueError("this defense needs the inside of its client")
        other = self.inside.outputs()[0].to(values.dtype)
        return other if self.settings.share == 1 else torch.lerp(values, other, self.settings.share)

    def sees(self) -> str:
        share = self.settings.share
        if share == 1:
            return (
                "What a model says that was trained on none of the client's private images, and nothing else."
            )
        return (
            f"A mixture: {share:.3g} of what a model says that was trained on none of the client's private images, and "
            f"{1 - share:.3g} of the client's own outputs."
        )

    def guarantee(self, rows: int, rounds: int) -> str:
        if self.settings.share < 1:
            return "none"
        said = counted(0, rows, rounds)
        return (
            f"{said} Unit a client, adjacency any other private data of it: ε = 0, since it uses none of them"
        )
