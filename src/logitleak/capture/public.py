"""The public set of a capture as files: a PNG for each image, and the table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from logitleak.errors import UserError
from logitleak.files.atomic import write_atomic
from logitleak.files.given import Array, array
from logitleak.files.storage import write_text
from logitleak.text import printable


def public_table(rows: int, labels: Any, sensitive: Any, most: int | None, files: bool) -> str | None:
    """``public.csv``; None where there is nothing to say.

    Args:
        rows: N.
        labels: int [N], or None.
        sensitive: bool [N], or None.
        most: labels are below it; None for any.
        files: whether rows are images, which have files.

    Raises:
        UserError: an array does not fit.
    """
    columns: dict[str, list[str]] = {}
    if files:
        columns["file"] = [_file(row) for row in range(rows)]
    if labels is not None:
        found = array(labels, "labels")
        if found.shape != (rows,) or found.dtype.kind not in "iu" or (found < 0).any():
            raise UserError(f"labels must be {rows} whole numbers from 0, one for each public row.")
        if most is not None and int(found.max()) >= most:
            raise UserError(
                f"labels go up to {int(found.max())}, and there are {most} classes; with labelled=False others are "
                "kept for scoring."
            )
        columns["label"] = [str(label) for label in found.tolist()]
    if sensitive is not None:
        found = array(sensitive, "sensitive")
        if found.shape != (rows,) or found.dtype.kind != "b":
            raise UserError(f"sensitive must be {rows} truth values, one for each public row.")
        columns["domain"] = ["sensitive" if one else "insensitive" for one in found.tolist()]
    if not columns:
        return None
    return "\n".join([",".join(columns), *map(",".join, zip(*columns.values(), strict=True))]) + "\n"


def write_public(folder: Path, images: Array | None, table: str | None) -> None:
    """Write images uint8 [N, H, W, 3] as PNG files, and the table last: where it is, the images are."""
    for row, image in enumerate([] if images is None else images):

        def write(target: Path, image: Array = image) -> None:
            Image.fromarray(image).save(target, "PNG")

        write_atomic(folder / "public" / _file(row), write)
    if table is not None:
        write_text(folder / "public.csv", table)


def check_public(folder: Path, images: Array | None, table: str | None) -> None:
    """Raise a `UserError` unless this public set is the one that `write_public` wrote."""
    other = UserError(f"{folder} was begun with another public set; choose another folder.")
    path = folder / "public.csv"
    try:
        if (path.read_text(encoding="utf-8") if path.is_file() else None) != table:
            raise other
        for row, image in enumerate([] if images is None else images):
            with Image.open(folder / "public" / _file(row)) as kept:
                if kept.size != (image.shape[1], image.shape[0]) or not np.array_equal(
                    np.asarray(kept), image
                ):
                    raise other
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(
            f"The public set in {folder} cannot be read ({printable(str(error), 200)}); choose another folder."
        ) from None


def _file(row: int) -> str:
    return f"{row:06d}.png"
