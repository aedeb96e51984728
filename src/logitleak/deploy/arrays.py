"""Tensors as bytes: numpy's format, read without trusting a word of its header. Nothing is ever unpickled."""

from __future__ import annotations

import io

import numpy as np
import torch
from torch import Tensor

from logitleak.federation.answers import Shape, printable
from logitleak.files.storage import NAMES

KIND = "numpy.ndarray"
"""What Flower calls this way of writing arrays."""

_HEADER = 4096
"""No header of an array in use is longer, in bytes."""

_DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in NAMES}
"""What may travel is what a transcript can hold."""

_BITS = {torch.bfloat16: torch.int16}
"""Types that numpy has not, and the ones that carry their bits."""


class BadArray(ValueError):
    """Bytes that are not the array that was asked for; the message says why in a few words."""


def encode(tensor: Tensor) -> bytes:
    """A tensor in numpy's format."""
    buffer = io.BytesIO()
    value = tensor.detach().cpu().contiguous()
    np.save(buffer, value.view(_BITS.get(value.dtype, value.dtype)).numpy(), allow_pickle=False)
    return buffer.getvalue()


def declared(dtype: str, shape: tuple[int, ...]) -> Shape:
    """What an array says of itself.

    Raises:
        BadArray: it has a type that no message uses.
    """
    if dtype not in _DTYPES:
        raise BadArray(f"has the type {printable(dtype, 20)!r}, which no message uses")
    return Shape(_DTYPES[dtype], tuple(shape))


def decode(data: bytes, kind: str, said: Shape, wanted: Shape) -> Tensor:
    """The tensor in some bytes; its size is known to be right before memory is taken for it.

    Args:
        data: the bytes.
        kind: how they were written, see `KIND`.
        said: type and shape that came with them.
        wanted: type and shape that were asked for.

    Raises:
        BadArray: the bytes are something else.
    """
    if kind != KIND:
        raise BadArray(f"is written as {printable(kind, 20)!r} instead of {KIND!r}")
    if (said.dtype, said.sizes) != (wanted.dtype, wanted.sizes):
        raise BadArray(f"is {said} instead of {wanted}")
    if len(data) > wanted.nbytes + _HEADER:
        raise BadArray(f"takes {len(data)} bytes, and {wanted.nbytes} are enough")
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError("another version")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=_HEADER)
    except Exception:  # whatever a stranger's header makes numpy raise, it is no header
        raise BadArray("has a damaged header") from None
    number = np.dtype(str(_BITS.get(wanted.dtype, wanted.dtype)).removeprefix("torch."))
    body = data[file.tell() :]
    if fortran or dtype != number or tuple(shape) != wanted.sizes or len(body) != wanted.nbytes:
        raise BadArray(f"does not hold {wanted}")
    return torch.from_numpy(np.frombuffer(body, number).reshape(wanted.sizes).copy()).view(wanted.dtype)
