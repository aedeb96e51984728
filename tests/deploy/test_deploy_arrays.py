"""Bytes from a stranger: nothing is unpickled, and no memory is taken that was not asked for."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from logitleak.deploy.arrays import KIND, BadArray, declared, decode, encode
from logitleak.federation.answers import Shape

WANTED = Shape(torch.float32, (4, 3))


DTYPES = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
    torch.uint8, torch.bool,
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [(4, 3), (0, 3), (), (2, 3, 4, 5)])
def test_there_and_back(dtype: torch.dtype, sizes: tuple[int, ...]) -> None:
    value = (torch.rand(sizes) * 2).to(dtype)
    shape = declared(str(dtype).removeprefix("torch."), sizes)
    assert torch.equal(decode(encode(value), KIND, shape, shape), value)


def test_layouts_other_than_rows() -> None:
    value = torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last)
    shape = Shape(torch.float32, (2, 3, 4, 4))
    assert torch.equal(decode(encode(value), KIND, shape, shape), value)


def header(descr: str, shape: str, fortran: bool = False) -> bytes:
    text = f"{{'descr': {descr!r}, 'fortran_order': {fortran}, 'shape': {shape}, }}"
    padded = text.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded.encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x04\x95",  # a pickle
        header("|O", "(4, 3)") + b"\x80\x04N." * 12,
        header("<f4", "(1000000000000, 3)") + bytes(48),
        header("<f4", "(4, 3)", fortran=True) + bytes(48),
        header(">f4", "(4, 3)") + bytes(48),
        header("<f8", "(4, 3)") + bytes(48),
        header("<f4", "(4, 3)") + bytes(47),
        header("<f4", "(4, 3)") + bytes(49),
        header("<f4", "(4, 3)") + bytes(100_000),
        header("<f4", "__import__('os')") + bytes(48),
        encode(torch.zeros(4, 3))[:30],
    ],
)
def test_rubbish(data: bytes) -> None:
    with pytest.raises(BadArray):
        decode(data, KIND, WANTED, WANTED)


def test_objects_are_never_loaded() -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array([[print] * 3] * 4, dtype=object), allow_pickle=True)
    with pytest.raises(BadArray):
        decode(buffer.getvalue(), KIND, WANTED, WANTED)


def test_what_is_declared_must_be_what_was_asked_for() -> None:
    with pytest.raises(BadArray, match=r"float32 \[5, 3\] instead of float32 \[4, 3\]"):
        decode(encode(torch.zeros(5, 3)), KIND, Shape(torch.float32, (5, 3)), WANTED)
    with pytest.raises(BadArray, match="written as 'pickle'"):
        decode(encode(torch.zeros(4, 3)), "pickle", WANTED, WANTED)
    with pytest.raises(BadArray, match="no message uses"):
        declared("object", (4, 3))


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    for start in (b"", b"\x93NUMPY\x01\x00", encode(torch.zeros(4, 3))[:40]):
        with pytest.raises(BadArray):
            decode(start + data, KIND, WANTED, WANTED)
