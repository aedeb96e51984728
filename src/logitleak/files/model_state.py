"""A model and its optimizer as one flat table of tensors, which safetensors can hold, and back."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

MOMENTS = ("exp_avg", "exp_avg_sq")
"""What Adam keeps for each weight besides the number of its steps."""


def pack(
    name: str, model: nn.Module, optimizer: torch.optim.Optimizer, begun: bool = False
) -> dict[str, Tensor]:
    """Weights, buffers, and where Adam has made a step its moments.

    Args:
        name: whose they are; all keys begin with it.
        model, optimizer: the model, and what trains it.
        begun: before its first step Adam's moments are zeros, and not missing: all tables of a training have the same
            names and shapes, which a reader can hold a stranger's file against.

    Returns:
        tensors named ``name/buffer/…``, ``name/weight/…``, ``name/step/…``, ``name/exp_avg/…`` and
        ``name/exp_avg_sq/…``. They share the model's memory.
    """
    table = {f"{name}/buffer/{key}": value.detach().contiguous() for key, value in model.named_buffers()}
    for key, value in model.named_parameters():
        table[f"{name}/weight/{key}"] = value.detach().contiguous()
        moments = optimizer.state.get(value, _before_the_first_step(value) if begun else {})
        for moment, kept in moments.items():
            table[f"{name}/{moment}/{key}"] = kept.detach().contiguous()
    return table


def _before_the_first_step(value: Tensor) -> dict[str, Tensor]:
    return {"step": torch.tensor(0.0), **{moment: torch.zeros_like(value) for moment in MOMENTS}}


def under(table: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The part of a table whose names begin with a prefix, by the rest of their names."""
    return {name.removeprefix(prefix): value for name, value in table.items() if name.startswith(prefix)}


@torch.no_grad()
def unpack(
    table: Mapping[str, Tensor], name: str, model: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    """Take back what `pack` gave.

    Raises:
        KeyError: a tensor of this model is not in the table.
    """
    for key, value in model.named_buffers():
        value.copy_(table[f"{name}/buffer/{key}"])
    for key, value in model.named_parameters():
        value.copy_(table[f"{name}/weight/{key}"])
        if f"{name}/step/{key}" not in table:  # it had made no step
            optimizer.state.pop(value, None)
            continue
        # fused Adam wants its step counter beside weights on a GPU, and moments in the weights' order in memory
        counter = value.device if value.device.type == "cuda" else "cpu"
        optimizer.state[value] = {
            "step": table[f"{name}/step/{key}"].to(counter).clone(),
            **{moment: torch.empty_like(value).copy_(table[f"{name}/{moment}/{key}"]) for moment in MOMENTS},
        }
