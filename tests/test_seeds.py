"""Generators of their own for every use."""

from __future__ import annotations

import numpy as np
import torch

from logitleak.seeds import derive, derive_int, derive_numpy


def test_equal_names_give_equal_streams() -> None:
    assert derive_int(3, "a", 1) == derive_int(3, "a", 1)
    assert torch.equal(torch.rand(5, generator=derive(3, "a")), torch.rand(5, generator=derive(3, "a")))
    np.testing.assert_array_equal(derive_numpy(3, "a").random(5), derive_numpy(3, "a").random(5))


def test_stable_over_versions() -> None:
    """Changing this number changes every result ever reported."""
    assert derive_int(0, "targets") == 5148228594913019179


def test_everything_counts() -> None:
    values = [
        derive_int(0), derive_int(1), derive_int(0, "a"), derive_int(0, "b"), derive_int(0, "a", "b"),
        derive_int(0, "ab"), derive_int(0, "b", "a"), derive_int(0, "a", 0), derive_int(0, "a", 1),
        derive_int(0, "a", 10), derive_int(0, "a", 1, 0), derive_int(10, "a"),
    ]  # fmt: skip
    assert len(set(values)) == len(values)


def test_range() -> None:
    values = [derive_int(seed, "x") for seed in range(200)]
    assert all(0 <= value < 2**63 for value in values)
    assert max(values) > 2**62


def test_the_global_state_is_left_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    torch.rand(3, generator=derive(0, "x"))
    derive_numpy(0, "x").random(3)
    assert torch.equal(torch.get_rng_state(), before)
