"""How an epoch is cut into mini-batches, and models that cannot learn from one image at a time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from logitleak.errors import UserError

PREDICTED = 256
"""Images that a model predicts at a time."""

_KIND = nn.modules.batchnorm._BatchNorm


def normalizes_batches(model: nn.Module) -> bool:
    """Whether a model in training takes statistics of its batch."""
    training = model.training
    found = any(isinstance(layer, _KIND) and layer.training for layer in model.train().modules())
    model.train(training)
    return found


def refuse_single_images(architecture: str, model: nn.Module, batch: int) -> None:
    """Raise a `UserError` where a model that normalizes batches would get one image at a time."""
    if batch == 1 and normalizes_batches(model):
        raise UserError(
            f'"{architecture}" has BatchNorm, which has no statistics of a batch of one image; '
            "set federation.batch to 2 or more, or normalize by GroupNorm."
        )


def cut(order: Tensor, batch: int, normalizes: bool) -> Sequence[Tensor]:
    """The shuffled row numbers [..., n] of an epoch as mini-batches [..., b].

    Where the model normalizes batches, a last image that is alone joins the batch before it: by itself it would have no
    batch statistics, and left out it would be missing from the epoch.
    """
    parts = list(order.split(batch, dim=-1))
    if normalizes and len(parts) > 1 and parts[-1].shape[-1] == 1:
        parts[-2:] = [torch.cat(parts[-2:], -1)]
    return parts
