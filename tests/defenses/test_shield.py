"""Outputs that are no numbers: no defense makes a valid upload of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from beside import Beside
from logitleak import registry
from logitleak.defenses.base import Defense
from logitleak.defenses.draws import Seeded
from logitleak.defenses.shield import Shield
from logitleak.defenses.spaces import Kind
from logitleak.defenses.training import TrainingDefense
from logitleak.types import Payload

ON_UPLOADS = [
    name
    for name in registry.names("defense")
    if not issubclass(registry.load("defense", name), TrainingDefense)
]


def leaves(names: list[str], kind: Kind, said: Tensor, beside: Tensor | None = None) -> Tensor:
    """What leaves a client that says this, and whose models beside its own say the same or something else."""

    def made(name: str) -> Defense:
        cls: Any = registry.load("defense", name)
        one: Defense = cls(cls.Settings(), kind, Seeded(0, name))
        if one.company is not None:
            models = one.company.models
            one.inside = Beside(said.expand(models, -1, -1) if beside is None else beside)
        return one

    shield = Shield(("upload", "it"), kind, [made(name) for name in names])
    return shield.guard("upload", 1, Payload(), Payload({"it": said})).tensors["it"]


def outputs(kind: Kind) -> Tensor:
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
    return logits if kind == "logits" else logits.softmax(1)


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
@pytest.mark.parametrize("wrong", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("name", ON_UPLOADS)
def test_what_is_not_finite_leaves_as_nan_and_nothing_with_it(name: str, wrong: float, kind: Kind) -> None:
    said = outputs(kind)
    said[2, 1] = wrong
    assert bool(leaves([name], kind, said).isnan().all())


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
@pytest.mark.parametrize(
    "names", [["pate"], ["pate", "gaussian"], ["hide-column", "hard-label"], ["toward-public"]]
)
def test_models_beside_it_may_have_diverged(names: list[str], kind: Kind) -> None:
    said = outputs(kind)
    beside = said.repeat(5 if "pate" in names else 1, 1, 1)
    beside[-1, 3, 0] = torch.nan
    assert bool(leaves(names, kind, said, beside).isnan().all())
