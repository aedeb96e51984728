"""The last layer of a classifier, and what it is given."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from logitleak.errors import UserError


def last_layer(model: nn.Module, classes: int) -> nn.Linear:
    """The linear layer that gives a model's logits.

    Raises:
        UserError: there is none.
    """
    found = [
        layer for layer in model.modules() if isinstance(layer, nn.Linear) and layer.out_features == classes
    ]
    if not found:
        raise UserError(
            "The clients' model does not end in a linear layer, so nobody knows what its features are."
        )
    return found[-1]


def features_of(model: nn.Module, images: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """A model's logits [n, J], and what its last layer was given for them, [n, width]."""
    given: list[Tensor] = []
    layer = last_layer(model, classes)
    with layer.register_forward_pre_hook(lambda layer, inputs: given.append(inputs[0])):
        logits: Tensor = model(images)
    return logits, torch.cat(given)
