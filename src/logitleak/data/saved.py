"""Datasets of the Hugging Face library that were saved to disk (``save_to_disk``): which splits, and their images."""

from __future__ import annotations

import importlib
import io
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from logitleak.data.base import UNLABELLED, ImageSet, Skipped
from logitleak.data.decode import decode
from logitleak.errors import UserError, did_you_mean, to_install
from logitleak.text import printable

NO_SPLIT = "none"
"""What a setting says in place of a split where none is wanted."""

_SPLITS, _FILES = "dataset_dict.json", ("state.json", "dataset_info.json")
_BLOCK = 512  # rows whose files are in memory at once
_WHOLE = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


@dataclass(frozen=True)
class Columns:
    """What the columns of images and of labels are called; None for the only one of a fitting type."""

    image: str | None = None
    label: str | None = None


def is_saved(path: Path) -> bool:
    """Whether a folder is a saved dataset, of one split."""
    return all((path / name).is_file() for name in _FILES)


def splits(path: Path) -> list[str] | None:
    """The splits in a folder that holds several saved datasets; None where it is no such folder.

    Raises:
        UserError: the list of splits is damaged.
    """
    file = path / _SPLITS
    if not file.is_file():
        return None
    try:
        names = json.loads(file.read_text(encoding="utf-8"))["splits"]
    except (ValueError, KeyError, TypeError, RecursionError, OSError):
        names = None
    if not (isinstance(names, list) and names and all(_is_name(name) for name in names)):
        raise UserError(f"{file} names no splits; save the dataset again.")
    return list(names)


def split_of(path: Path, wanted: str | None, usual: str, setting: str) -> Path:
    """The folder of a split, or the folder itself where it is one dataset.

    Args:
        path: the folder.
        wanted: the split; None for the usual one, or the only one.
        usual: how that is called by most.
        setting: which setting names another.

    Raises:
        UserError: there is none such.
    """
    names = splits(path)
    if names is None:
        if wanted is not None:
            raise UserError(f"{path} has no splits; leave data.settings.{setting} out.")
        return path
    if wanted is None and usual not in names and len(names) > 1:
        raise UserError(f"{path} has the splits {', '.join(names)}; name one with data.settings.{setting}.")
    name = wanted or (usual if usual in names else names[0])
    if name not in names:
        raise UserError(f'{path} has no split "{name}".{did_you_mean(name, names)}')
    return path / name


def read_saved(path: Path, side: int, columns: Columns, labelled: bool = True) -> ImageSet:
    """The images of a saved dataset as squares, classes called by the names of their labels.

    Args:
        path: its folder.
        side: of the squares in pixels.
        columns: where images and labels are.
        labelled: whether there must be labels; without any all are of the class `UNLABELLED`.

    Raises:
        UserError: there are none, or the library is missing.
    """
    table = _load(path)
    names = _names(table, path, columns, labelled)
    column = _image_column(table, path, columns.image)
    rows = table.select_columns([column]).cast_column(column, _library().Image(decode=False))
    pixels = np.empty((len(rows), 3, side, side), np.uint8)
    kept: list[int] = []
    skipped: list[Skipped] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow decodes outside the interpreter lock
        results = (
            result
            for block in _blocks(rows, column)
            for result in pool.map(lambda value: _attempt(value, side), block)
        )
        for row, result in enumerate(results):
            if isinstance(result, str):
                skipped.append(Skipped(f"{path.name}/{row}", result))
            else:
                pixels[len(kept)] = result
                kept.append(row)
    if not kept:
        raise UserError(f"None of the {len(rows)} images in {path} can be read; {skipped[0].reason}.")
    return ImageSet(
        pixels[: len(kept)], [names[row] for row in kept], [f"{path.name}/{row}" for row in kept], skipped
    )


def count_saved(path: Path, columns: Columns, labelled: bool = True) -> dict[str, int]:
    """Images of each class.

    Raises:
        UserError: as `read_saved`.
    """
    table = _load(path)
    _image_column(table, path, columns.image)
    return dict(Counter(_names(table, path, columns, labelled)))


def _library() -> Any:
    try:
        return importlib.import_module("datasets")
    except ImportError as error:
        raise UserError(
            f"A dataset that was saved to disk needs the library datasets, which cannot be imported ({error}); "
            f"{to_install('datasets')}."
        ) from None


def _load(path: Path) -> Any:
    library = _library()
    try:
        table = library.load_from_disk(str(path)).with_format(None)  # it may have been saved as tensors
    except Exception as error:  # the library raises whatever its parts do
        said = printable(str(error), 200)
        raise UserError(
            f"{path} cannot be read as a saved dataset ({type(error).__name__}: {said})."
        ) from None
    if len(table) == 0:
        raise UserError(f"{path} holds no images.")
    return table


def _image_column(table: Any, path: Path, named: str | None) -> str:
    found = [name for name, kind in table.features.items() if _kind(kind) == "Image"]
    return _column(found, named, path, "images", "image_column")


def _label_column(table: Any, path: Path, named: str | None) -> str | None:
    """The column of labels: of classes, or else of whole numbers; None where there is none."""
    kinds = {name: _kind(kind) for name, kind in table.features.items()}
    classes = [name for name, kind in kinds.items() if kind == "ClassLabel"]
    numbers = [name for name, kind in kinds.items() if kind in _WHOLE]
    if named is None and not classes and not numbers:
        return None
    texts = [name for name, kind in kinds.items() if kind in ("string", "large_string")]
    found = classes or numbers if named is None else [*classes, *numbers, *texts]
    return _column(found, named, path, "labels", "label_column")


def _column(found: Sequence[str], named: str | None, path: Path, what: str, setting: str) -> str:
    if named is not None and named not in found:
        raise UserError(f'{path} has no column "{named}" of {what}.{did_you_mean(named, found)}')
    if named is None and len(found) != 1:
        several = f"{len(found)} columns of {what} ({', '.join(found)})" if found else f"no column of {what}"
        hint = f"; name one with data.settings.{setting}" if found else ""
        raise UserError(f"{path} has {several}{hint}.")
    return named or found[0]


def _kind(feature: Any) -> str:
    """The name of a feature: Image, ClassLabel, or the type of its values."""
    name = type(feature).__name__
    return str(feature.dtype) if name == "Value" else name


def _names(table: Any, path: Path, columns: Columns, labelled: bool) -> list[str]:
    """The class of every row."""
    column = _label_column(table, path, columns.label)
    if column is None and labelled:
        raise UserError(f"{path} has no column of labels; private images need them.")
    if column is None:
        return [UNLABELLED] * len(table)
    given = table.select_columns([column])[:][column]
    known = getattr(table.features[column], "names", None)
    unknown = [value in (None, -1, "") for value in given]  # −1 is how many sets say that nobody knows
    if all(unknown) and not labelled:
        return [UNLABELLED] * len(table)
    if any(unknown):
        raise UserError(
            f'{path}: {sum(unknown)} of {len(given)} rows have no label in "{column}"; leave them out, and save the '
            "dataset again."
        )
    numbers = [value for value in given if not isinstance(value, str)]
    least, most = min(numbers, default=0), max(numbers, default=0)
    if least < 0 or (known is not None and most >= len(known)):
        wrong = least if least < 0 else most
        raise UserError(
            f'{path}: "{column}" holds {wrong}, which is no label; save the dataset anew without it.'
        )
    return [str(value) if known is None else str(known[value]) for value in given]


def _blocks(rows: Any, column: str) -> Iterator[list[Any]]:
    for start in range(0, len(rows), _BLOCK):
        yield rows[start : start + _BLOCK][column]


def _attempt(value: Any, side: int) -> np.ndarray | str:
    """An image uint8 [3, side, side], or why there is none."""
    content = value.get("bytes") if isinstance(value, dict) else None
    if content is None:  # a path alone leads out of the folder
        return "no image is in the dataset; save it with its images"
    try:
        return decode(io.BytesIO(content), side)
    except ValueError as error:
        return str(error)


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and bool(name) and Path(name).name == name and name not in (".", "..")
