"""The columns of a client's own classes, as they would be without its private images."""

from __future__ import annotations

import torch
from torch import Tensor

from logitleak.defenses.base import Defense
from logitleak.defenses.inside import Company


class HideColumn(Defense):
    """For the classes that a client holds, its outputs are replaced by those of its understudy.

    The understudy begins as the client's own model, hears every message and learns from the public set as it does, and
    never from a private image. One that stood still after public training would repeat its columns bit for bit in each
    round, which names them; so it goes on, and learns what came back from everybody. It costs the client a second
    training on the public set.

    Logits are replaced as they are. Of probabilities the other columns are then scaled, so that rows add up to 1; where
    nothing is left in them they share evenly.

    Columns of classes that a client does not hold are what its private images made of them, and other clients learn
    from this one nothing about those that it holds. It has no settings.
    """

    company = Company()
    looks_inside = True

    def on_upload(self, values: Tensor, rows: Tensor, round: int) -> Tensor:
        if self.inside is None:
            raise ValueError("this defense needs the inside of its client")
        mine = torch.zeros(values.shape[-1], dtype=torch.bool)
        mine[self.inside.held] = True
        other = self.inside.outputs()[0].to(values.dtype)
        if self.kind == "logits":
            return torch.where(mine, other, values)
        rest = values.masked_fill(mine, 0)
        total = rest.sum(-1, keepdim=True)
        even = (~mine).to(values.dtype) / (~mine).sum().clamp_min(1)
        shares = torch.where(total > 0, rest / total.clamp_min(1e-30), even)
        left = other.masked_fill(mine, 0).sum(-1, keepdim=True)  # what the understudy gives to other classes
        return torch.where(mine, other, shares * left)

    def sees(self) -> str:
        return (
            "For the classes that a client holds, what a model says that was trained on none of its private images; "
            "for others its own outputs, which its private images have changed too."
        )
