"""Outputs, and facts about the public images, out of CSV files: read line by line, lines and columns bounded."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from logitleak.capture.arrays import Wanted
from logitleak.errors import UserError
from logitleak.files.given import Array
from logitleak.text import is_number

_CELL = 64  # characters of a number with its comma
_LINE = 10_000  # characters of a line of the public table
_MOST_LINES, _MOST_BYTES = 1_000_000, 2**28  # of the public table, which is kept whole

DOMAINS = ("sensitive", "insensitive")


def read_csv(path: Path, wanted: Wanted) -> tuple[Array, Array | None]:
    """Outputs as lines of numbers, one for each row. A first line that is no numbers names the columns; a column
    called ``wanted.rows`` holds the row ids.

    Raises:
        UserError: a line has not as many numbers as there are classes, or there are more lines than rows.
    """
    most = _CELL * (wanted.classes + 2)
    values: list[Array] = []
    ids: list[int] = []
    at: int | None = None
    with _text(path) as file:
        for number, line in enumerate(_lines(file, most), start=1):
            cells = [cell.strip().strip('"') for cell in line.split(",")]
            if number == 1:
                _check_signs(cells, line, wanted.classes)
            if number == 1 and not is_number(cells[0]):
                at = cells.index(wanted.rows) if wanted.rows in cells else None
                if len(set(cells)) < len(cells):
                    raise UserError("line 1: two columns have one name.")
                continue
            if not line.strip():
                continue
            if at is not None:
                ids.append(_row_id(cells, at, number))
            values.append(_numbers(cells, wanted.classes, number))
            if len(values) > wanted.public:
                raise UserError(f"has more lines than there are public images ({wanted.public}).")
    wanted.check_shape((len(values), wanted.classes), at is not None)
    return np.stack(values), np.array(ids, np.int64) if at is not None else None


@dataclass(frozen=True)
class Image:
    """A line of the public table: a file of the images folder, its label and its domain, where these are said."""

    file: str
    label: str | None
    domain: str | None


@dataclass(frozen=True)
class Table:
    """The public table, and the names of columns that mean nothing here."""

    images: list[Image]
    ignored: list[str]


def read_table(path: Path, files: bool = True) -> Table:
    """The public table.

    Args:
        path: where it is.
        files: whether it is of images, which have files; without, a line is called by its number, from 0.

    Raises:
        UserError: it has no column ``file`` and needs one, or has a line that does not fit.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise UserError(
            f"is larger than {_MOST_BYTES >> 20} MiB; keep the columns file, label and domain only."
        )
    with _text(path) as file:
        reader = csv.DictReader(_lines(file, _LINE), restkey="", strict=True)
        try:
            columns = [name.strip() for name in reader.fieldnames or []]
            if (files and "file" not in columns) or len(set(columns)) < len(columns):
                raise UserError(
                    'its first line must name the columns, "file" and perhaps "label" and "domain".'
                )
            reader.fieldnames = columns
            images = [
                _image(row if files else row | {"file": str(number)}, reader.line_num)
                for number, row in enumerate(reader)
            ]
        except csv.Error as error:
            raise UserError(f"line {reader.line_num}: {error}.") from None
    return Table(images, [name for name in columns if name not in ("file", "label", "domain")])


def _image(row: dict[str, Any], number: int) -> Image:
    if number > _MOST_LINES:
        raise UserError(f"has more than {_MOST_LINES:,} lines.")
    if "" in row or None in row.values():
        raise UserError(f"line {number}: has not as many cells as the first line.")
    domain = row.get("domain")
    if domain is not None and domain not in DOMAINS:
        raise UserError(f'line {number}: domain must be "sensitive" or "insensitive", not {domain[:50]!r}.')
    return Image(row["file"], row.get("label"), domain)


@contextmanager
def _text(path: Path) -> Iterator[IO[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield file
    except UnicodeDecodeError:
        raise UserError("is no UTF-8 text.") from None


def _lines(file: IO[str], most: int) -> Iterator[str]:
    """The lines of a file, none longer than so many characters."""
    number = 0
    while line := file.readline(most + 1):
        number += 1
        if len(line) > most:
            raise UserError(f"line {number}: is longer than the columns can be ({most} characters).")
        yield from io.StringIO(line)  # a lone carriage return ends a line too


def _check_signs(cells: list[str], line: str, classes: int) -> None:
    """Raise a `UserError` where the first line is that of another country's CSV."""
    for sign, name in ((";", "semicolons"), ("\t", "tabs")):
        if line.count(sign) >= max(classes - 1, 1):
            points = ", and write decimals with a point" if len(cells) > 1 else ""
            raise UserError(f"line 1: columns are separated by {name}; separate them by commas{points}.")


def _row_id(cells: list[str], at: int, number: int) -> int:
    text = cells.pop(at) if at < len(cells) else ""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise UserError(f"line {number}: {text[:50]!r} is no row id.")
    return int(text)


def _numbers(cells: list[str], classes: int, number: int) -> Array:
    if len(cells) == 2 * classes and all(cell.lstrip("+-").isdigit() for cell in cells):
        raise UserError(f"line {number}: decimals seem to be written with a comma; write them with a point.")
    if len(cells) != classes:
        raise UserError(f"line {number}: has {len(cells)} outputs, and the capture has {classes} classes.")
    try:
        return np.array([float(cell) for cell in cells], np.float64)
    except ValueError as error:
        raise UserError(f"line {number}: {error}.") from None
