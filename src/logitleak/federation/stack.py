"""K models of one architecture trained in the same step, as one stack of tensors.

A GPU does K small steps no sooner than one after the other; stacked, their products are batched and launched once.
On two CPU cores the plain loop is faster (docs/performance.md).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap

from logitleak.files.model_state import MOMENTS


class Stack:
    """K models with their Adam states, stacked; `unstack` gives back what training changed.

    Args:
        models: K models of one architecture without buffers (`stackable`).
        optimizers: their Adam optimizers, which have made equally many steps.
        loss: from the logits [b, J] of a batch, and its rows of every target tensor, to a scalar.
        precision: the autocast type of the forward pass; None for that of the weights.
    """

    def __init__(
        self,
        models: Sequence[nn.Module],
        optimizers: Sequence[torch.optim.Optimizer],
        loss: Callable[..., Tensor],
        precision: torch.dtype | None,
    ) -> None:
        self._models, self._optimizers = models, optimizers
        self._weights, _ = stack_module_state(list(models))
        self._adam = type(optimizers[0])(self._weights.values(), **_options(optimizers[0]))
        for name, stacked in self._weights.items():
            states = [o.state.get(m.get_parameter(name), {}) for m, o in zip(models, optimizers, strict=True)]
            if states[0]:
                moments = {key: torch.stack([state[key] for state in states]) for key in MOMENTS}
                self._adam.state[stacked] = {"step": states[0]["step"].clone(), **moments}
        self._gradients = _gradients(models[0], loss, precision)

    def fit(
        self,
        images: Sequence[Tensor],
        targets: Sequence[Sequence[Tensor]],
        epochs: int,
        cut: Callable[[Tensor], Sequence[Tensor]],
        generators: Sequence[torch.Generator],
        tell: Callable[[int, int, float], None],
    ) -> list[float]:
        """Train all models for some epochs, at least one, and give back what that changed.

        Args:
            images: K tensors uint8 [n, 3, H, W].
            targets: for each model tensors [n, ...].
            epochs: how many.
            cut: from row numbers [K, n] to those of mini-batches [K, b].
            generators: of each model's order of images.
            tell: called with (model index, epoch from 1, mean loss).

        Returns:
            K mean losses of the last epoch.
        """
        count, device, mean = len(images[0]), images[0].device, [float("nan")] * len(images)
        for epoch in range(1, epochs + 1):
            total = torch.zeros(len(images), dtype=torch.float64, device=device)
            order = torch.stack([torch.randperm(count, generator=g) for g in generators]).to(device)
            for rows in cut(order):
                batch = [_rows(each, rows) for each in zip(*targets, strict=True)]
                total += self.step(_rows(images, rows), batch).detach() * rows.shape[1]
            mean = (total / count).tolist()
            for k, value in enumerate(mean):
                tell(k, epoch, value)
        self.unstack()
        return mean

    def step(self, images: Tensor, targets: Sequence[Tensor]) -> Tensor:
        """One step of every model on its own batch.

        Args:
            images: uint8 [K, b, 3, H, W].
            targets: tensors [K, b, ...].

        Returns:
            K losses.
        """
        weights = {name: value.detach() for name, value in self._weights.items()}
        gradients, losses = self._gradients(weights, images, *targets)
        for name, value in self._weights.items():
            value.grad = gradients[name]
        self._adam.step()
        return losses

    @torch.no_grad()
    def unstack(self) -> None:
        """Give every model its weights, and every optimizer its moments."""
        for name, value in self._weights.items():
            state = self._adam.state.get(value, {})
            for k, (model, optimizer) in enumerate(zip(self._models, self._optimizers, strict=True)):
                own = model.get_parameter(name)
                own.copy_(value[k])
                if state:
                    moments = {key: torch.empty_like(own).copy_(state[key][k]) for key in MOMENTS}
                    optimizer.state[own] = {"step": state["step"].clone(), **moments}


def stackable(
    models: Sequence[nn.Module], optimizers: Sequence[torch.optim.Optimizer], images: Tensor
) -> bool:
    """Whether a `Stack` can train these: several, by Adam, after equally many steps, without frozen weights, and
    without layers that `torch.func.vmap` cannot stack. Those are group normalization of channels-last maps, whatever
    keeps buffers, and what a try shows: above all layers that draw random numbers, such as dropout.

    Args:
        models: K models of one architecture.
        optimizers: theirs.
        images: uint8 [n, 3, H, W], a few to try them on.
    """
    adam = all(isinstance(optimizer, torch.optim.Adam) for optimizer in optimizers)
    frozen = not all(p.requires_grad for p in models[0].parameters())
    odd = any(True for _ in models[0].buffers()) or any(
        isinstance(m, nn.GroupNorm) for m in models[0].modules()
    )
    if len(models) < 2 or not adam or frozen or odd:
        return False
    steps = {
        float(state["step"]) if (state := optimizer.state.get(next(model.parameters()))) else 0.0
        for model, optimizer in zip(models, optimizers, strict=True)
    }
    return len(steps) == 1 and _can_be_stacked(models[:2], images)


def _can_be_stacked(models: Sequence[nn.Module], images: Tensor) -> bool:
    """Whether gradients of two stacked models come out. `vmap` refuses to draw random numbers, in a layer or in a
    function: masks of stacked models could not be those that each would draw by itself."""
    weights, _ = stack_module_state(list(models))
    stacked = {name: value.detach() for name, value in weights.items()}
    try:
        _gradients(models[0], torch.sum, None)(stacked, images.expand(2, *images.shape))
    except torch.OutOfMemoryError:
        raise
    except Exception:  # a layer may fail under vmap in any way; the plain loop does what it always did
        return False
    return True


def _gradients(
    model: nn.Module, loss: Callable[..., Tensor], precision: torch.dtype | None
) -> Callable[..., Any]:
    """From stacked weights, images [K, b, 3, H, W] and targets [K, b, ...] to gradients by name, and K losses."""
    skeleton = copy.deepcopy(model).to("meta").train()
    device, dtype = next(model.parameters()).device.type, next(model.parameters()).dtype

    def value(weights: dict[str, Tensor], images: Tensor, *targets: Tensor) -> Tensor:
        with torch.autocast(device, precision or torch.bfloat16, enabled=precision is not None):
            logits = functional_call(skeleton, weights, (images,))
        return loss(logits.to(dtype), *targets)

    return vmap(grad_and_value(value))


def _options(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    return {key: optimizer.defaults[key] for key in ("lr", "betas", "eps", "weight_decay", "fused")}


def _rows(tensors: Sequence[Tensor], rows: Tensor) -> Tensor:
    """Row numbers [K, b] of K tensors [n, ...], as [K, b, ...]."""
    if all(tensor is tensors[0] for tensor in tensors):
        return tensors[0][rows]
    return torch.stack([tensor[mine] for tensor, mine in zip(tensors, rows, strict=True)])
