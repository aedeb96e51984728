"""One file of outputs: read by its suffix, and looked at with suspicion."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from logitleak.capture.arrays import Wanted, read_npy, read_npz, read_safetensors
from logitleak.capture.findings import count
from logitleak.capture.places import inside
from logitleak.capture.tables import read_csv
from logitleak.errors import UserError
from logitleak.files.given import Array

Kind = Literal["logits", "probabilities"]

READERS: dict[str, Callable[[Path, Wanted], tuple[Array, Array | None]]] = {
    ".npz": read_npz, ".npy": read_npy, ".safetensors": read_safetensors, ".csv": read_csv,
}  # fmt: skip
_SUM_TOLERANCE = 1e-2  # 16-bit probabilities of many classes do not add up better


@dataclass(frozen=True)
class Outputs:
    """What one party said in one round.

    Attributes:
        values: float32 [n, J].
        rows: int64 [n], the public rows they are for; None for all of them in order.
    """

    values: Array
    rows: Array | None

    def digest(self) -> str:
        """Equal for equal outputs."""
        parts = (self.values,) if self.rows is None else (self.values, self.rows)
        total = hashlib.sha256()
        for part in parts:
            total.update(np.ascontiguousarray(part).data)
        return total.hexdigest()


def read_outputs(folder: Path, file: str, wanted: Wanted) -> Outputs:
    """The outputs in a file of a capture.

    Raises:
        UserError: they are not what is wanted, or not finite, or a row id is out of range or twice there.
    """
    path = inside(folder, file)
    if path.suffix not in READERS:
        raise UserError(f"is of no kind that is read; there is {', '.join(READERS)}.")
    values, rows = READERS[path.suffix](path, wanted)
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.array(values, np.float32, order="C")
    finite = np.isfinite(values)
    if not finite.all():
        row, column = divmod(int(finite.argmin()), wanted.classes)
        bad = finite.size - int(np.count_nonzero(finite))
        many = f"{bad} values that are" if bad > 1 else "a value that is"
        raise UserError(
            f"holds {many} NaN, infinite or too large for 32 bits; the first is in row {row}, column {column}."
        )
    return Outputs(values, None if rows is None else check_rows(rows, wanted.public))


def check_rows(rows: Array, public: int) -> Array:
    """Row ids as int64.

    Args:
        rows: integers [n].
        public: N, the number of public rows.

    Raises:
        UserError: one is out of range, or twice there.
    """
    outside = rows[(rows < 0) | (rows >= public)]
    if len(outside):
        raise UserError(f"names row {outside[0]}, and public rows are 0 to {public - 1}.")
    unique, counts = np.unique(rows, return_counts=True)
    if len(unique) < len(rows):
        raise UserError(f"names row {unique[counts > 1][0]} twice.")
    return rows.astype(np.int64)


def check_kind(values: Array, kind: Kind) -> None:
    """Raise a `UserError` where logits are probabilities, or probabilities are none.

    Args:
        values: float32 [n, J].
        kind: what they should be.
    """
    distributions = bool((values >= 0).all()) and bool(
        (np.abs(values.sum(1, dtype=np.float64) - 1) < _SUM_TOLERANCE).all()
    )
    if kind == "logits" and distributions:
        raise UserError(
            "holds probabilities where logits are due: no value is negative and every row adds up to 1; "
            'say kind: "probabilities", or record what the softmax is fed.'
        )
    if kind == "probabilities" and not distributions:
        worst = int(np.abs(values.sum(1, dtype=np.float64) - 1).argmax())
        negative = int((values < 0).sum())
        why = (
            f"{count(negative, 'value')} negative"
            if negative
            else f"row {worst} adds up to {values[worst].sum():.4g}"
        )
        raise UserError(f'holds no probabilities ({why}); say kind: "logits" if that is what they are.')


def oddities(values: Array) -> Iterator[str]:
    """What outputs of a trained model hardly ever show.

    Args:
        values: float32 [n, J].
    """
    if len(values) < 2:
        return
    constant = np.flatnonzero((values == values[0]).all(0))
    if len(constant):
        yield f"{count(len(constant), 'column')} of {values.shape[1]} the same in every row, such as {constant[0]}."
    lines = np.ascontiguousarray(values).view(np.dtype((np.void, values.shape[1] * 4))).ravel()
    _, first, counts = np.unique(lines, return_index=True, return_counts=True)
    repeated = first[counts > 1]
    if len(repeated):
        copies = int(counts.sum() - len(counts))
        yield f"{count(copies, 'row')} the same as another one, such as row {int(repeated.min())}."
