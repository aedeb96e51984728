"""What a tensor of a transcript must be before it is used."""

from __future__ import annotations

import torch
from torch import Tensor

from logitleak.errors import UserError
from logitleak.files.finite import all_finite
from logitleak.files.storage import TensorFile
from logitleak.types import check_rows

_FLOATS = ("F16", "BF16", "F32", "F64")


def check_row_ids(ids: Tensor, public: int, where: str) -> int:
    """How many rows of the public set were asked for; a `UserError` unless each is one, and named once."""
    if ids.dim() != 1 or ids.dtype != torch.int64:
        raise UserError(f"{where}: the row ids must be int64 [n], not {describe(ids)}.")
    if len(torch.unique(ids)) < len(ids):
        raise UserError(f"{where}: the row ids name a public image twice.")
    try:
        check_rows(ids, public)
    except ValueError as error:
        raise UserError(f"{where}: {error}.") from None
    return len(ids)


def check_tensor(
    file: TensorFile,
    name: str,
    wanted: tuple[int, ...],
    what: str,
    why: str = "rows, classes of the manifest",
) -> None:
    """Raise a `UserError` unless a tensor has this shape and is of floats."""
    found = file.shape(name)
    if found != wanted:
        raise UserError(f"{what} has shape {list(found)}; {list(wanted)} is needed ({why}).")
    if file.dtype(name) not in _FLOATS:
        raise UserError(f"{what} has type {file.dtype(name)}; one of {', '.join(_FLOATS)} is needed.")


def check_finite(values: Tensor, what: str) -> None:
    """Raise a `UserError` unless every value is a finite number."""
    if not all_finite(values):
        bad = int((~torch.isfinite(values)).sum())
        raise UserError(f"{what} holds {bad} values that are NaN or infinite; the capture is damaged.")


def describe(tensor: Tensor) -> str:
    """Type and shape, for a message."""
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
