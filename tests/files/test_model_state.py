"""A model and its optimizer in a table, and back."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from logitleak.files.model_state import pack, unpack


def made(seed: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 2))
    return model, torch.optim.Adam(model.parameters(), lr=0.1, fused=True)


def learn(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> Tensor:
    """Some steps, and what comes out afterwards."""
    images = torch.arange(64.0).view(4, 1, 4, 4) / 64
    for _ in range(steps):
        optimizer.zero_grad()
        model.train()(images).square().sum().backward()
        optimizer.step()
    found: Tensor = model.eval()(images).detach()
    return found


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("before", [0, 3])
def test_training_goes_on_as_if_it_had_not_stopped(before: int, begun: bool) -> None:
    straight, stopped, other = made(0), made(0), made(1)
    learn(*straight, before)
    learn(*stopped, before)
    table = {name: value.clone() for name, value in pack("a", *stopped, begun=begun).items()}
    learn(*other, 2)  # whatever it had learnt is forgotten
    unpack(table, "a", *other)
    assert torch.equal(learn(*straight, 4), learn(*other, 4))


def test_tables_of_a_training_have_the_same_names_and_shapes() -> None:
    model, optimizer = made(0)
    first = {name: value.shape for name, value in pack("a", model, optimizer, begun=True).items()}
    learn(model, optimizer, 1)
    assert first == {name: value.shape for name, value in pack("a", model, optimizer, begun=True).items()}


def test_several_models_share_a_table() -> None:
    a, b = made(0), made(1)
    table = copy.deepcopy(pack("a", *a) | pack("b", *b))
    back = made(2)
    unpack(table, "b", *back)
    assert torch.equal(learn(*back, 0), learn(*b, 0))
    with pytest.raises(KeyError):
        unpack(table, "c", *back)
