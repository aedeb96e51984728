"""What a valid answer of a client looks like, and what is wrong with one that is not.

An answer may come from a stranger, so names, types, shapes and values are checked before anybody uses it. The same
check serves every transport.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from logitleak.files.finite import largest
from logitleak.text import printable
from logitleak.types import Payload

LARGEST = 1e9
"""No output, weight or gradient of a model in use comes near; sums of larger ones may overflow."""

MOST_IMAGES = 10**9
"""A client that claims more images than this is not believed."""

_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Shape:
    """The type and shape that a tensor must have, and whether its rows are distributions."""

    dtype: torch.dtype
    sizes: tuple[int, ...]
    probabilities: bool = False

    @property
    def nbytes(self) -> int:
        """Size of such a tensor in bytes."""
        return torch.Size(self.sizes).numel() * self.dtype.itemsize

    def __str__(self) -> str:
        return f"{str(self.dtype).removeprefix('torch.')} {list(self.sizes)}"


@dataclass(frozen=True)
class Form:
    """What an answer to one message must hold: these tensors, these whole numbers above 0, and nothing else.

    Attributes:
        tensors: by name.
        counts: names of whole numbers.
        choices: lists of sets of names, of each of which the answer holds exactly one: what may be written in several
            ways. Tensors that are in none of them must be there.
    """

    tensors: Mapping[str, Shape] = field(default_factory=dict)
    counts: frozenset[str] = frozenset()
    choices: Sequence[Sequence[frozenset[str]]] = ()

    def fault(self, payload: Payload) -> str | None:
        """What is wrong with an answer, in a few words; None if nothing is."""
        chosen = self._chosen(set(payload.tensors))
        for names, wanted in ((payload.tensors, chosen), (payload.scalars, self.counts)):
            for name in sorted(set(names) - set(wanted)):
                return f"sent {printable(name)!r}, which nobody asked for"
            for name in sorted(set(wanted) - set(names)):
                return f"sent no {name!r}"
        for name in sorted(self.counts):
            if (wrong := _count_fault(payload.scalars[name])) is not None:
                return f"{name} {wrong}"
        for name in payload.tensors:
            if (wrong := _tensor_fault(payload.tensors[name], self.tensors[name])) is not None:
                return f"{name} {wrong}"
        return None

    def _chosen(self, given: set[str]) -> set[str]:
        """The names that must be there, once it is seen in which way the answer is written."""
        open_names = {name for choice in self.choices for names in choice for name in names}
        ways = [next((names for names in choice if names <= given), choice[0]) for choice in self.choices]
        return (set(self.tensors) - open_names).union(*ways)


def _count_fault(value: object) -> str | None:
    if type(value) is not int or not 0 <= value <= MOST_IMAGES:
        return f"is {printable(str(value))}, which is no number of images"
    return None


def _tensor_fault(value: Tensor, shape: Shape) -> str | None:
    if value.dtype != shape.dtype or tuple(value.shape) != shape.sizes:
        return f"is {Shape(value.dtype, tuple(value.shape))} instead of {shape}"
    most = largest(value)
    if not math.isfinite(most):
        return "holds NaN or infinite values"
    if most > LARGEST:
        return f"holds values beyond {LARGEST:g}"
    if shape.probabilities and value.numel():
        sums = value.sum(-1)
        if bool((value < 0).any()) or bool(((sums - 1).abs() > _SUM_TOLERANCE).any()):
            return "holds rows that are no probabilities"
    return None
