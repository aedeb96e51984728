"""From image files of any kind to uint8 RGB squares."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageOps

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".pgm", ".ppm", ".pnm", ".tif", ".tiff", ".gif"}
)
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "PPM", "TIFF", "GIF")
"""What those are. Pillow looks at content, not at names, and would start another program for some formats."""
_MAX_PIXELS = 50_000_000  # larger is a mistake or an attack; a photograph of a face is far below


class _TooLarge(Exception):
    """An image says it has more pixels than we read."""


@dataclass(frozen=True)
class Crop:
    """A fixed window in pixels, for data sets that come aligned: rows top:bottom, columns left:right."""

    top: int
    bottom: int
    left: int
    right: int


@dataclass(frozen=True)
class Center:
    """A centered window of a share of the height and of the width; 1 is the whole frame, whatever its shape."""

    share: float


Window = Crop | Center


def decode(
    path: Path | BinaryIO, side: int, crop: Window | None = None
) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Read one image, a file or an open one, as RGB, crop it to a square and resize it.

    Gray images are repeated in three channels, 16-bit ones scaled to 8, transparency is laid over white, the
    camera's orientation is applied. Without ``crop`` the largest centered square is taken.

    Returns:
        uint8 [3, side, side].

    Raises:
        ValueError: the file is no image, is damaged, is empty or is larger than 50 million pixels.
    """
    with _opened(path) as opened:
        image = _to_rgb(ImageOps.exif_transpose(opened))
    return _square(image, side, crop)


def square(pixels: np.ndarray[Any, np.dtype[np.uint8]], side: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The largest centered square of an image uint8 [H, W, 3], resized: uint8 [3, side, side]."""
    return _square(Image.fromarray(pixels), side, None)


def _square(image: Image.Image, side: int, crop: Window | None) -> np.ndarray[Any, np.dtype[np.uint8]]:
    image = image.crop(_window(image.width, image.height, crop))
    if image.size != (side, side):
        image = image.resize((side, side), Image.Resampling.LANCZOS)
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


def dimensions(path: Path) -> tuple[int, int]:
    """Width and height as the file says them, with nothing decoded.

    Raises:
        ValueError: as `decode`.
    """
    with _opened(path) as opened:
        return opened.size


@contextmanager
def _opened(path: Path | BinaryIO) -> Iterator[Image.Image]:
    """An image file of a reasonable size; what goes wrong with it, even later in the block, is a ValueError."""
    try:
        with _QUIET, Image.open(path, formats=_FORMATS) as opened:
            if opened.width * opened.height > _MAX_PIXELS:
                raise _TooLarge
            yield opened
    except (_TooLarge, Image.DecompressionBombError):
        raise ValueError(f"larger than {_MAX_PIXELS // 1_000_000} million pixels") from None
    except Exception as error:  # a damaged file can make Pillow's readers raise nearly anything
        raise ValueError(f"not a readable image ({type(error).__name__})") from None


class _Quiet:
    """No warnings of Pillow's, on sizes and damage, which we tell in our own words.

    Filters belong to the process and images are decoded in threads, so the first one in sets the filter and the last
    one out takes it back: each for itself would take back what another still needs, and leave its filter behind.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._filters = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.filterwarnings("ignore", module="PIL")
            self._inside += 1

    def __exit__(self, *raised: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._filters.__exit__(None, None, None)


_QUIET = _Quiet()


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        top = 65535 if image.mode.startswith("I;16") or values.max(initial=0) > 255 else 255
        image = Image.fromarray(np.clip(values * (255 / top), 0, 255).round().astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return image.convert("RGB")


def _window(width: int, height: int, crop: Window | None) -> tuple[int, int, int, int]:
    """Left, upper, right, lower. A fixed crop that leaves the image falls back to the centered square."""
    if isinstance(crop, Center):
        wide, tall = max(1, round(crop.share * width)), max(1, round(crop.share * height))
        left, top = (width - wide) // 2, (height - tall) // 2
        return left, top, left + wide, top + tall
    if crop is not None and crop.right <= width and crop.bottom <= height:
        return crop.left, crop.top, crop.right, crop.bottom
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side
