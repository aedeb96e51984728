"""Pixels and priors become floats a batch at a time, and every bit is as if all of them were there."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from largest import Largest
from memory import MemoryView
from torch import Tensor

from logitleak.attacks import inversion
from logitleak.attacks.base import create
from logitleak.priors import domains

SETTINGS: dict[str, Any] = {"width": 16, "batch": 4, "epochs": 2, "lr": 1e-3}


class AllFloats:
    """Every image and every prior as floats beforehand, row by row."""

    def __init__(
        self, inputs: Tensor, pixels: Tensor, rows: Tensor, priors: tuple[Tensor, Tensor] | None
    ) -> None:
        self.inputs = inputs
        self.every = (pixels[rows].to(torch.float32) / 255) * 2 - 1
        self.priors = None if priors is None else torch.stack([priors[0][int(place)] for place in priors[1]])

    def __len__(self) -> int:
        return len(self.every)

    def images(self, batch: Tensor) -> Tensor:
        return self.every[batch]

    def wanted(self, batch: Tensor) -> Tensor | None:
        return None if self.priors is None else self.priors[batch]


@pytest.mark.parametrize(
    ("attack", "prior", "more"),
    [
        ("pli", "mean", {"gamma": 0.0}),
        ("pli", "mean", {"gamma": 0.5}),
        ("pli", "paired", {"gamma": 0.5, "prior_step": "end"}),
        ("tbi", "mean", {}),
    ],
)
@pytest.mark.parametrize("rows", [None, torch.tensor([17, 3, 4, 9, 0, 1, 12])])
def test_the_same_bits_as_with_floats_beforehand(
    attack: str, prior: str, more: dict[str, Any], rows: Tensor | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = MemoryView(clients=2, rows=rows)
    how = {"model": "linear"} if prior == "paired" else {}

    def images() -> Tensor:
        made = create(attack, SETTINGS | more, seed=5, prior=prior, prior_settings=how)
        return made.last(view).images

    found = images()
    monkeypatch.setattr(inversion, "Examples", AllFloats)
    assert torch.equal(found, images())


def test_no_float_for_every_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a width that keeps layers small, the largest tensor is the public set in bytes."""
    monkeypatch.setattr(domains, "CHUNK", 16)  # of the mean prior's exact sums
    view = MemoryView(clients=1, rounds=1, classes=120, side=32)
    public = len(view.knowledge.public)
    pli = create("pli", SETTINGS | {"gamma": 0.5, "steps": 3, "width": 16})
    with Largest() as seen:
        pli.observe(view, 1)
    assert seen.size <= public * 3 * 32 * 32, seen.what
