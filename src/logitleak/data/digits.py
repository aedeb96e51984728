"""Scikit-learn's digits: 1,797 images of 8x8 in ten classes, which come with the library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from logitleak.data.base import Dataset, DataSource, ImageSet, Survey
from logitleak.data.decode import square
from logitleak.errors import UserError, to_install

_COUNTS = (178, 182, 177, 183, 181, 182, 181, 179, 174, 180)
_TOP = 16
"""The largest value of a pixel."""


class Digits(DataSource):
    """Handwritten digits (Alpaydin and Kaynak, 1998, the test part), resized; no second domain."""

    needs_root = False
    layout = "no root/: they come with scikit-learn (the extra `examples`)"

    def __init__(self, settings: Any, root: Path | None, image_size: int) -> None:
        super().__init__(settings, root, image_size)
        if root is not None:
            raise UserError("The digits come with scikit-learn, not in a folder; leave data.root out.")

    def load(self) -> Dataset:
        found = _digits()
        gray = np.rint(found.images * (255 / _TOP)).astype(np.uint8)
        pixels = np.stack([square(np.repeat(one[..., None], 3, -1), self.image_size) for one in gray])
        names = [str(label) for label in found.target.tolist()]
        files = [f"digits/{row:04d}" for row in range(len(names))]
        return Dataset("scikit-learn's digits", False, ImageSet(pixels, names, files))

    def survey(self) -> Survey:
        _digits()
        return Survey({str(label): count for label, count in enumerate(_COUNTS)})


def _digits():  # type: ignore[no-untyped-def]
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise UserError(
            f"The digits come with scikit-learn, which is not installed; {to_install('examples')}."
        ) from None
    return load_digits()
