"""Pieces of what attacks on shared models do, tried on noise, so that `logitleak validate` can say how long they take.

As in `rehearsal`, for attacks that ask a client's model, or match its gradients.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from logitleak import registry
from logitleak.attacks.rehearsal import noise
from logitleak.machine.forecast import Scale, Work
from logitleak.models import base, own
from logitleak.seeds import derive


def client_model(scale: Scale, device: torch.device) -> nn.Module:
    """A client's model with made-up weights."""
    size = (scale.side, scale.side)
    if registry.is_own(scale.network):
        return own.build(scale.network, size, scale.classes, seed=0).to(device).eval()
    return base.build(scale.network, size, scale.classes, derive(0, "rehearsal")).to(device).eval()


def labels_of(scale: Scale) -> int:
    """How many labels one client's update gives away, about: its share of the targets."""
    return math.ceil(scale.targets / max(1, scale.clients))


def asking(scale: Scale, images: int, device: torch.device, times: float) -> Work:
    """Gradients of a client's model on so many images, with regard to their pixels."""

    @cache
    def made() -> tuple[nn.Module, Tensor]:
        return client_model(scale, device).requires_grad_(False), pictures(images, scale, device)

    def once() -> None:
        model, pixels = made()
        now = pixels.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(model(now).softmax(1)[:, 0].sum(), [now])
        float(gradient.sum())  # waits for a GPU

    return Work("gradient of the pixels", once, times)


def matching(
    scale: Scale,
    images: int,
    distance: Callable[[Sequence[Tensor], Sequence[Tensor]], Tensor],
    device: torch.device,
    times: float,
) -> Work:
    """Gradients of the distance between so many dummies' gradient and a client's, with regard to their pixels."""

    @cache
    def made() -> tuple[nn.Module, Tensor, Tensor, Sequence[Tensor]]:
        model = client_model(scale, device)
        labels = torch.arange(images, device=device) % scale.classes
        wanted = [torch.zeros_like(parameter) for parameter in model.parameters()]
        return model, pictures(images, scale, device), labels, wanted

    def once() -> None:
        model, pixels, labels, wanted = made()
        now = pixels.detach().requires_grad_()
        loss = F.cross_entropy(model(now), labels)
        found = torch.autograd.grad(loss, list(model.parameters()), create_graph=True)
        (gradient,) = torch.autograd.grad(distance(found, wanted), [now])
        float(gradient.sum())

    return Work("matching of gradients", once, times)


def pictures(count: int, scale: Scale, device: torch.device) -> Tensor:
    """Images of noise, at least one, float32 [n, 3, H, W] in [0, 1]."""
    return noise(max(1, count), 3, scale.side, scale.side).abs().clamp(0, 1).to(device)
