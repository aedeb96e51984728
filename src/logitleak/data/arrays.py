"""Images and labels out of one .npz or .safetensors file; nothing is unpickled."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from logitleak.data.base import UNLABELLED, ImageSet
from logitleak.data.decode import square
from logitleak.errors import UserError
from logitleak.files.given import Array, array, check_shape, pixels
from logitleak.files.storage import TensorFile

IMAGES = ("images", "x", "X", "data")
LABELS = ("labels", "y", "Y", "targets")
"""What arrays may be called, the first that is there."""


def is_arrays(path: Path) -> bool:
    """Whether a path is a file of a kind that is read here."""
    return path.is_file() and path.suffix in (".npz", ".safetensors")


def read_arrays(path: Path, side: int, labelled: bool = True) -> ImageSet:
    """The images of a file as squares, classes called by their labels.

    Args:
        path: an .npz or .safetensors file with images (see `pixels`) and integer labels [n].
        side: of the squares in pixels.
        labelled: whether there must be labels; without any all are of the class `UNLABELLED`.

    Raises:
        UserError: there are none, or they do not fit.
    """
    images = pixels(_named(path, IMAGES), f"{path}, images")
    names = _labels(path, labelled, len(images))
    squares = np.stack([square(image, side) for image in images])
    return ImageSet(squares, names, [f"{path.name}/{row}" for row in range(len(images))])


def count_labels(path: Path, labelled: bool = True) -> dict[str, int]:
    """Images of each class.

    Raises:
        UserError: as `read_arrays`.
    """
    images = _named(path, IMAGES)
    check_shape(images.shape, f"{path}, images")
    return dict(Counter(_labels(path, labelled, len(images))))


def _labels(path: Path, labelled: bool, count: int) -> list[str]:
    present = _names(path)
    if not labelled and not any(name in present for name in LABELS):
        return [UNLABELLED] * count
    found = array(_named(path, LABELS), f"{path}, labels")
    if found.shape != (count,) or found.dtype.kind not in "iu":
        raise UserError(
            f"{path}: labels must be {count} integers, one for each image, not {found.dtype} {list(found.shape)}."
        )
    if (found < 0).any():
        raise UserError(
            f"{path}: labels must be 0 or more, and some are {int(found.min())}; leave labels out where nobody knows."
        )
    return [str(label) for label in found.tolist()]


def _named(path: Path, wanted: tuple[str, ...]) -> Array:
    """The first of some arrays that is there."""
    present = _names(path)
    name = next((name for name in wanted if name in present), None)
    if name is None:
        raise UserError(
            f'{path} holds {", ".join(present) or "nothing"}; an array "{wanted[0]}" is needed '
            f"(or {', '.join(wanted[1:])})."
        )
    if path.suffix == ".safetensors":
        return array(TensorFile(path).read(name), f"{path}, {name}")
    with _npz(path) as file:
        found: Array = file[name]
    return found


def _names(path: Path) -> list[str]:
    if path.suffix == ".safetensors":
        return list(TensorFile(path).names())
    with _npz(path) as file:
        return list(file.files)


@contextmanager
def _npz(path: Path) -> Iterator[Any]:
    """An open .npz file; what is wrong with it, even later in the block, is a `UserError`."""
    try:
        with np.load(path, allow_pickle=False) as file:
            yield file
    except (OSError, EOFError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be read: {str(error).splitlines()[0]}.") from None
