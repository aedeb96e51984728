"""Outputs that a running federation gives: looked at before they are written."""

from __future__ import annotations

from typing import Any

import numpy as np

from logitleak.capture.outputs import Kind, check_kind, check_rows
from logitleak.errors import UserError
from logitleak.files.given import Array, array


def given_outputs(values: Any, kind: Kind, most: tuple[int, int], what: str) -> Array:
    """Outputs as float32 [n, J].

    Args:
        values: float [n, J] of any library.
        kind: what they should be.
        most: N and J.
        what: how an error calls them.

    Raises:
        UserError: they are something else, or not finite.
    """
    rows, classes = most
    found = array(values, what)
    if found.ndim != 2 or found.shape[1] != classes or not 0 < len(found) <= rows:
        raise UserError(f"{what} have shape {list(found.shape)}; [up to {rows}, {classes}] is needed.")
    if found.dtype.kind != "f":
        raise UserError(f"{what} are of type {found.dtype}; floats are needed.")
    with np.errstate(over="ignore"):
        found = np.ascontiguousarray(found, np.float32)
    if not np.isfinite(found).all():
        raise UserError(f"{what} hold NaN, infinite values or some too large for 32 bits.")
    try:
        check_kind(found, kind)
    except UserError as error:
        raise UserError(f"{what}: {error}") from None
    return found


def given_rows(rows: Any, count: int, public: int, what: str) -> Array:
    """Row ids as int64 [n].

    Args:
        rows: int [n] of any library.
        count: n.
        public: N, the number of public rows.
        what: how an error calls them.

    Raises:
        UserError: they are something else, out of range, or one is twice there.
    """
    found = array(rows, what)
    if found.shape != (count,) or found.dtype.kind not in "iu":
        raise UserError(
            f"{what} have type {found.dtype} and shape {list(found.shape)}; integers [{count}] are needed."
        )
    try:
        return check_rows(found, public)
    except UserError as error:
        raise UserError(f"{what}: {error}") from None
