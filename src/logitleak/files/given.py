"""What a caller gives: arrays of any library, and images of any usual shape and type."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np

from logitleak.errors import UserError

Array = np.ndarray[Any, np.dtype[Any]]


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number, of Python or numpy; no truth value is."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def whole_number(value: Any, what: str) -> int:
    """A whole number of Python or numpy as one of Python.

    Args:
        value: the number.
        what: how an error calls it.

    Raises:
        UserError: it is something else.
    """
    if not is_whole(value):
        raise UserError(f"{what} is a whole number, not {value!r:.40}.")
    return int(value)


def array(values: Any, what: str) -> Array:
    """An array of torch, numpy, jax or anything that numpy can read, as one of numpy.

    Args:
        values: the array.
        what: how an error calls it.

    Raises:
        UserError: it is none, or not of numbers.
    """
    if hasattr(values, "detach"):  # a tensor of torch, perhaps on a GPU; numpy has no bfloat16
        values = values.detach().cpu()
        values = (values.float() if str(values.dtype) == "torch.bfloat16" else values).numpy()
    try:
        found = np.asarray(values)
    except (TypeError, ValueError) as error:
        raise UserError(f"{what} are no array ({error}).") from None
    if found.dtype.name == "bfloat16":  # jax's
        found = found.astype(np.float32)
    if found.dtype.kind not in "fiub":
        raise UserError(f"{what} are of type {found.dtype}; numbers are needed.")
    return found


def pixels(values: Any, what: str) -> Array:
    """Images as uint8 [N, H, W, 3].

    Args:
        values: uint8, or floats in [0, 1]; [N, H, W], [N, H, W, 1], [N, H, W, 3], [N, 1, H, W] or [N, 3, H, W], of
            torch, numpy or anything that numpy can read. Where both could be meant, channels are last.
        what: how an error calls them.

    Raises:
        UserError: they are something else.
    """
    found = array(values, what)
    check_shape(found.shape, what)
    if found.ndim == 3:
        found = found[..., None]
    if found.shape[3] not in (1, 3):
        found = found.transpose(0, 2, 3, 1)
    if found.dtype.kind == "f":
        low, high = float(found.min()), float(found.max())
        if not 0 <= low <= high <= 1:  # NaN is neither
            raise UserError(f"{what}: floats must be in [0, 1], and these go from {low:.4g} to {high:.4g}.")
        found = np.rint(found * 255)
    elif found.dtype != np.uint8:
        raise UserError(f"{what}: images are of bytes (uint8) or floats in [0, 1], not of {found.dtype}.")
    return np.ascontiguousarray(np.broadcast_to(found, (*found.shape[:3], 3)), np.uint8)


def check_shape(shape: tuple[int, ...], what: str) -> None:
    """Raise a `UserError` unless images may have this shape (see `pixels`)."""
    full = (*shape, 1) if len(shape) == 3 else shape
    if len(full) != 4 or (full[3] not in (1, 3) and full[1] not in (1, 3)) or 0 in full:
        raise UserError(
            f"{what}: images are [N, H, W], [N, H, W, 3] or [N, 3, H, W], and these are {list(shape)}."
        )
