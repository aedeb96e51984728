"""Tensors as singular vectors, against numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from logitleak.files.low_rank import factors, forms, largest_rank, pack, rank_of, split, unpack


def decaying(*sizes: int, seed: int = 0) -> Tensor:
    """A tensor whose matrix has singular values 1, 1/2, 1/4, ..."""
    rows, columns = sizes[0], int(np.prod(sizes[1:]))
    generator = torch.Generator().manual_seed(seed)
    left, _, right = torch.linalg.svd(
        torch.randn(rows, columns, generator=generator, dtype=torch.float64), full_matrices=False
    )
    return ((left * 0.5 ** torch.arange(len(right))) @ right).reshape(sizes)


@pytest.mark.parametrize("energy", [0.5, 0.9, 0.95, 0.98])
@pytest.mark.parametrize("sizes", [(12, 40), (40, 12), (16, 3, 3, 3)])
def test_the_fewest_vectors_that_hold_the_energy(sizes: tuple[int, ...], energy: float) -> None:
    tensor = decaying(*sizes)
    table = pack("a", tensor, energy)
    found = unpack(table)["a"]
    matrix = tensor.numpy().reshape(sizes[0], -1)
    u, s, v = np.linalg.svd(matrix, full_matrices=False)
    kept = np.cumsum(s**2) / np.sum(s**2)
    rank = int(np.argmax(kept >= energy)) + 1
    assert sorted(table) == [f"a/{rank}/left", f"a/{rank}/right", f"a/{rank}/values"]
    expected = (u[:, :rank] * s[:rank]) @ v[:rank]
    np.testing.assert_allclose(found.numpy().reshape(matrix.shape), expected, atol=1e-12)
    share = float(found.square().sum() / tensor.square().sum())
    assert share == pytest.approx(kept[rank - 1])
    assert share >= energy > (kept[rank - 2] if rank > 1 else 0)
    assert sum(value.numel() for value in table.values()) < tensor.numel()


@pytest.mark.parametrize("sizes", [(12, 40), (16, 3, 3, 3), (7,), ()])
def test_at_one_it_is_exact(sizes: tuple[int, ...]) -> None:
    tensor = torch.randn(sizes, generator=torch.Generator().manual_seed(1))
    table = pack("a", tensor, 1.0)
    assert list(table) == ["a"]
    assert torch.equal(unpack(table)["a"], tensor)


def test_what_would_not_be_smaller_lies_as_it_is() -> None:
    same = torch.eye(6)  # all singular values are alike, so 95% of the energy needs all of them
    assert torch.equal(pack("a", same, 0.95)["a"], same)
    assert largest_rank((6, 6)) == 2
    assert largest_rank((2, 2)) == 0
    assert largest_rank((5,)) == largest_rank(()) == 0


def test_no_numbers_and_nothing() -> None:
    bad = decaying(12, 40)
    bad[0, 0] = torch.nan
    assert list(pack("a", bad, 0.95)) == ["a"]
    nothing = unpack(pack("a", torch.zeros(12, 40), 0.95))["a"]
    assert torch.equal(nothing, torch.zeros(12, 40))
    assert rank_of(torch.zeros(3), 0.95) == 1


def test_names_say_shapes() -> None:
    table = pack("conv.weight", decaying(16, 3, 3, 3), 0.9) | pack("conv.bias", torch.ones(16), 0.9)
    known = {key: sizes for way in forms("conv.weight", (16, 3, 3, 3)) for key, sizes in way.items()}
    for key, value in table.items():
        name, rank, part = split(key)
        if rank is None:
            assert key == name == "conv.bias"
        else:
            assert tuple(value.shape) == known[key] == factors((16, 3, 3, 3), rank)[part]
    assert unpack(table).keys() == {"conv.weight", "conv.bias"}
    assert len(list(forms("conv.weight", (16, 3, 3, 3)))) == 1 + largest_rank((16, 3, 3, 3))


@pytest.mark.parametrize(
    "key", ["a", "a.b", "a/x/left", "a/3/middle", "a/" + 5000 * "9" + "/left", "a/²/left"]
)
def test_other_names(key: str) -> None:
    assert split(key) == (key, None, "")
