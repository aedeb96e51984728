"""Where the chance of a defense is from: a seed in simulations, the operating system in deployments."""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import prod
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from logitleak.seeds import derive

_BITS = 52
"""(2k + 1) / 2^53 for k below 2^52: every value is exact in float64, and none is 0 or 1."""


class Draws(Protocol):
    """Independent uniform numbers, of which everything else is made."""

    def uniform(self, shape: Sequence[int], *names: str | int) -> Tensor:
        """float64 numbers in the open interval from 0 to 1.

        Args:
            shape: how many.
            names: what they are for, the round included; where a seed decides, other names give other numbers.
        """


class Seeded:
    """Numbers that a root seed and names decide, so that a run can be repeated.

    Args:
        seed: the root seed. Attackers are given another one, from which it cannot be found.
        names: whose numbers these are.
    """

    def __init__(self, seed: int, *names: str | int) -> None:
        self._seed, self._names = seed, names

    def uniform(self, shape: Sequence[int], *names: str | int) -> Tensor:
        """See `Draws.uniform`."""
        generator = derive(self._seed, *self._names, *names)
        return _open(torch.randint(2**_BITS, tuple(shape), generator=generator))


class System:
    """Numbers of the operating system, which nobody can repeat."""

    def uniform(self, shape: Sequence[int], *names: str | int) -> Tensor:
        """See `Draws.uniform`."""
        raw = np.frombuffer(os.urandom(8 * prod(shape)), np.uint64) >> np.uint64(64 - _BITS)
        return _open(torch.from_numpy(raw.astype(np.int64)).view(*shape))


def _open(whole: Tensor) -> Tensor:
    return (2 * whole.to(torch.float64) + 1) / 2 ** (_BITS + 1)


def normal(uniform: Tensor) -> Tensor:
    """Standard normal numbers from uniform ones, float64."""
    return torch.special.ndtri(uniform)


def laplace(uniform: Tensor) -> Tensor:
    """Laplace numbers of scale 1 from uniform ones, float64."""
    centered = uniform - 0.5
    return -centered.sign() * torch.log1p(-2 * centered.abs())
