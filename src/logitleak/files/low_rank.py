"""Tensors as a few singular vectors in a flat table, and back.

A tensor [m, ...] is a matrix of m rows, as a kernel of a convolution is one row for each channel that it makes. What
is kept of it lies as ``name/r/left`` [m, r], ``name/r/values`` [r] and ``name/r/right`` [r, ...], where r is its rank,
in decimals: a name says what shape its tensor must have. What would not be smaller so lies as it is, under its name.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from logitleak.files.finite import all_finite

Sizes = tuple[int, ...]

LEFT, VALUES, RIGHT = "left", "values", "right"


def pack(name: str, tensor: Tensor, energy: float) -> dict[str, Tensor]:
    """The fewest singular vectors whose squared singular values sum to a share of all (Wu et al., Nature
    Communications, 2022).

    Args:
        name: what its keys begin with.
        tensor: on the CPU.
        energy: that share, from 0 to 1; at 1 the tensor lies as it is.

    Returns:
        one tensor or three. What holds numbers that are not finite has no singular values, and lies as it is.
    """
    most = largest_rank(tuple(tensor.shape))
    if most == 0 or energy >= 1 or not all_finite(tensor):
        return {name: tensor}
    left, values, right = torch.linalg.svd(tensor.reshape(len(tensor), -1), full_matrices=False)
    rank = rank_of(values, energy)
    if rank > most:
        return {name: tensor}
    table = {
        LEFT: left[:, :rank],
        VALUES: values[:rank],
        RIGHT: right[:rank].reshape(rank, *tensor.shape[1:]),
    }
    return {f"{name}/{rank}/{part}": value.contiguous() for part, value in table.items()}


def unpack(table: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a table by name, as far as they were kept.

    Raises:
        KeyError: one of three is missing.
    """
    found = {}
    for key, value in table.items():
        name, rank, part = split(key)
        if rank is None:
            found[key] = value
        elif part == LEFT:
            values, right = (table[f"{name}/{rank}/{other}"] for other in (VALUES, RIGHT))
            product = (value * values) @ right.reshape(len(right), -1)
            found[name] = product.reshape(len(value), *right.shape[1:])
    return found


def split(key: str) -> tuple[str, int | None, str]:
    """Of a key of `pack` the tensor's name, its rank, and which of three it is; None and nothing of one that lies as it
    is."""
    name, _, rest = key.partition("/")
    rank, _, part = rest.partition("/")
    known = rank.isascii() and rank.isdecimal() and len(rank) < 10 and part in (LEFT, VALUES, RIGHT)
    return (name, int(rank), part) if known else (key, None, "")


def forms(name: str, sizes: Sizes) -> Iterator[dict[str, Sizes]]:
    """All that `pack` may make of a tensor of this shape: keys and shapes, one table for every rank."""
    yield {name: sizes}
    for rank in range(1, largest_rank(sizes) + 1):
        yield {f"{name}/{rank}/{part}": shape for part, shape in factors(sizes, rank).items()}


def factors(sizes: Sizes, rank: int) -> dict[str, Sizes]:
    """The shapes of the three tensors of so many singular vectors."""
    return {LEFT: (sizes[0], rank), VALUES: (rank,), RIGHT: (rank, *sizes[1:])}


def largest_rank(sizes: Sizes) -> int:
    """How many singular vectors are still smaller than the tensor itself; 0 for what is no matrix."""
    if len(sizes) < 2:
        return 0
    rows, columns = sizes[0], math.prod(sizes[1:])
    return max(0, (rows * columns - 1) // (rows + columns + 1))


def rank_of(values: Tensor, energy: float) -> int:
    """How many of these singular values, in descending order, hold a share of the sum of their squares; at least 1."""
    kept = values.double().square().cumsum(0)
    return min(int((kept < energy * kept[-1]).sum()) + 1, len(values))
