"""What will be needed before anything is there: sizes of a federation, what one training step holds, and
pieces of work that can be timed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

FLOAT = 4
"""Bytes of a number in single precision."""


@dataclass(frozen=True)
class Scale:
    """How large a federation is, as far as an attacker's memory goes.

    Attributes:
        public: N, public images.
        sensitive: how many of them are of D_0.
        side: of the square images, in pixels.
        classes: J.
        clients, rounds, targets: K, T, and the target labels.
        people: labels that have public images.
        model: bytes of a client's weights.
        network: what the first client's model is called.
    """

    public: int
    sensitive: int
    side: int
    classes: int
    clients: int
    rounds: int
    targets: int
    people: int
    model: int
    network: str = "cnn"

    @property
    def image(self) -> int:
        """Bytes of one image in single precision."""
        return 3 * self.side**2 * FLOAT

    @property
    def outputs(self) -> int:
        """Bytes of one model's outputs on the public set."""
        return self.public * self.classes * FLOAT


@dataclass(frozen=True)
class Work:
    """Something that is done many times over, or a small piece that stands for something large.

    Attributes:
        name: what it is; of two pieces of one attack that have the same name, one is timed.
        once: does it once, with made-up numbers, in less than about a second. Nothing is made before it is called, and
            the first call is not timed.
        times: how often it is done, or as much work as that.
    """

    name: str
    once: Callable[[], object]
    times: float


def weights(*networks: nn.Module) -> int:
    """Bytes of their parameters and buffers."""
    return sum(t.numel() * t.element_size() for n in networks for t in (*n.parameters(), *n.buffers()))


def bare(make: Callable[[], nn.Module]) -> nn.Module:
    """A network with shapes and without numbers, that goes through the motions of the CPU."""
    with FakeTensorMode():
        return make().train()


def step(network: nn.Module, *shape: int) -> int:
    """Bytes that a training step holds besides weights and moments: what the forward pass keeps for the backward pass,
    half as much again for gradients on their way, and the gradient of the weights.

    Args:
        network: it may be `bare`. One with numbers is asked for two rows, and the rest is counted like them.
        shape: of its input, the batch first.
    """
    first = next(network.parameters())
    batch = shape[0] if isinstance(first, FakeTensor) else min(2, shape[0])
    kept: dict[int, Tensor] = {}
    own = {parameter.untyped_storage()._cdata for parameter in network.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()._cdata
        if storage not in own:
            kept[storage] = tensor  # held, so that no other gets its address
        return tensor

    motions = first.fake_mode if isinstance(first, FakeTensor) else nullcontext()
    with motions, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(torch.zeros(batch, *shape[1:]))
    held = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    return held * shape[0] // batch * 3 // 2 + weights(network)
