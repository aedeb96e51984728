"""The mechanics of private steps: units that are drawn one by one, gradients that are clipped, noise on their sum.

Per-unit gradients are taken by one backward pass for each unit. That is exact for images and for people alike, holds
for every model without batch statistics, and needs memory for one gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from logitleak.defenses.draws import normal

Unit = Literal["image", "person"]

_AT_ONCE = 2**20
"""So many numbers are drawn together: each takes many times the memory of a weight until it is one of noise."""


def units_of(labels: Tensor, unit: Unit) -> list[Tensor]:
    """The rows of each unit, int64: every image alone, or all images of one label together.

    Args:
        labels: int64 [n].
        unit: what is one.
    """
    if unit == "image":
        return list(torch.arange(len(labels)).split(1))
    held = labels.cpu()
    return [torch.nonzero(held == label).flatten() for label in held.unique()]


def shares_images(model: nn.Module) -> bool:
    """Whether a layer of a model takes or keeps statistics over images, so that one image changes what it does with
    others."""
    kind = nn.modules.batchnorm._NormBase
    return any(
        isinstance(layer, kind)
        and (isinstance(layer, nn.modules.batchnorm._BatchNorm) or layer.track_running_stats)
        for layer in model.modules()
    )


def clipped_sum(parameters: Sequence[Tensor], losses: Iterable[Tensor], clip: float) -> list[Tensor]:
    """The sum over units of their gradients, each scaled down to an L2 norm of at most C over all parameters.

    A gradient that is not finite counts as 0: whatever is added is never longer than C.

    Args:
        parameters: what gradients are of.
        losses: of each unit the sum of its images' losses, one made after the other.
        clip: C.

    Returns:
        tensors like the parameters; zeros without any unit.
    """
    total = [torch.zeros_like(parameter) for parameter in parameters]
    for loss in losses:
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        parts = [g.double().square().sum() for g in gradients if g is not None]
        norm = float(torch.stack(parts).sum().sqrt()) if parts else 0.0
        if not norm < float("inf"):
            continue
        scale = min(1.0, clip / norm) if norm > 0 else 1.0
        for sum_, gradient in zip(total, gradients, strict=True):
            if gradient is not None:
                sum_.add_(gradient, alpha=scale)
    return total


def noise_on(total: Sequence[Tensor], deviation: float, uniform: Callable[..., Tensor]) -> None:
    """Add independent Gaussian noise to every entry.

    Args:
        total: tensors, which are changed in place.
        deviation: its standard deviation.
        uniform: from a shape to uniform numbers in (0, 1), others at each call.
    """
    for tensor in total if deviation > 0 else ():
        noise = torch.empty(tensor.numel(), dtype=tensor.dtype)
        for part in noise.split(_AT_ONCE):
            part.copy_(deviation * normal(uniform(len(part))))
        tensor.add_(noise.view(tensor.shape).to(tensor.device))
