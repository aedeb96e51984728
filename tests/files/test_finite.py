"""One pass over the numbers, against the library's own elementwise checks."""

import math

import pytest
import torch

from logitleak.files.finite import all_finite, largest

DTYPES = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int8, torch.uint8,
    torch.bool,
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_type(dtype: torch.dtype) -> None:
    values = torch.tensor([[1, 0, 1], [1, 1, 0]]).to(dtype)
    assert largest(values) == 1
    assert all_finite(values)
    assert largest(values[:0]) == 0
    assert all_finite(values[:0])


@pytest.mark.parametrize("dtype", DTYPES[:4])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 7, 999])
def test_one_bad_number_anywhere(dtype: torch.dtype, bad: float, place: int) -> None:
    values = torch.linspace(-3, 2, 1000).to(dtype)
    assert largest(values) == float(values.abs().max())
    values[place] = bad
    assert all_finite(values) == bool(torch.isfinite(values).all()) is False
    assert math.isnan(largest(values)) == math.isnan(bad)
