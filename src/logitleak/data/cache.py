"""Decoded image sets, kept between runs: keyed by the files' content, loaded by memory map."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from logitleak.data.base import ImageSet, Skipped
from logitleak.data.decode import Window, decode
from logitleak.errors import UserError
from logitleak.files.atomic import write_atomic
from logitleak.files.storage import write_json

log = logging.getLogger(__name__)
_FORMAT = 1


def cache_folder() -> Path:
    """``$LOGITLEAK_CACHE``, or ``logitleak`` in the user's cache folder."""
    if chosen := os.environ.get("LOGITLEAK_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "logitleak"


def load_images(
    root: Path, files: Sequence[tuple[str, Path]], side: int, crop: Window | None = None
) -> ImageSet:
    """Decode files, or take them from the cache.

    Args:
        root: the data set's folder; names of images are relative to it.
        files: (identity, path) of every image.
        side: side of the squares in pixels.
        crop: a window, see `decode`.

    Returns:
        the images, in the order of ``files``; damaged ones are left out and listed.

    Raises:
        UserError: there is no file, or none can be read.
    """
    if not files:
        raise UserError(f"There is no image in {root}.")
    key = _content_key(root, files, side, crop)
    folder = cache_folder()
    cached = _read(folder, key, side)
    if cached is not None:
        return cached
    images = _decode_all(root, files, side, crop)
    if len(images) == 0:
        first = images.skipped[0]
        raise UserError(
            f"None of the {len(files)} images in {root} can be read; {first.path}: {first.reason}."
        )
    try:
        _write(folder, key, images)
    except OSError as error:
        log.warning("The decoded images are not cached: %s", error)
    return images


def _decode_all(root: Path, files: Sequence[tuple[str, Path]], side: int, crop: Window | None) -> ImageSet:
    def attempt(path: Path) -> np.ndarray | str:
        try:
            return decode(path, side, crop)
        except ValueError as error:
            return str(error)

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow decodes outside the interpreter lock
        results = list(pool.map(attempt, (path for _, path in files)))
    kept = [i for i, result in enumerate(results) if not isinstance(result, str)]
    pixels = np.empty((len(kept), 3, side, side), np.uint8)
    for row, i in enumerate(kept):
        pixels[row] = results[i]
    skipped = [
        Skipped(_relative(files[i][1], root), result)
        for i, result in enumerate(results)
        if isinstance(result, str)
    ]
    return ImageSet(
        pixels, [files[i][0] for i in kept], [_relative(files[i][1], root) for i in kept], skipped
    )


def _content_key(root: Path, files: Sequence[tuple[str, Path]], side: int, crop: Window | None) -> str:
    def digest(path: Path) -> bytes:
        try:
            return hashlib.blake2b(path.read_bytes(), digest_size=16).digest()
        except OSError:
            return b"unreadable"

    total = hashlib.blake2b(repr((_FORMAT, side, crop)).encode(), digest_size=16)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for (identity, path), content in zip(files, pool.map(digest, (p for _, p in files)), strict=True):
            total.update(f"{identity}\x1f{_relative(path, root)}\x1f".encode(errors="surrogateescape"))
            total.update(content)
    return total.hexdigest()


def _read(folder: Path, key: str, side: int) -> ImageSet | None:
    try:
        described = json.loads((folder / f"{key}.json").read_text(encoding="utf-8"))
        # copy-on-write: torch wants writable memory, and nothing reaches the file
        pixels = np.load(folder / f"{key}.npy", mmap_mode="c", allow_pickle=False)
        images = ImageSet(
            pixels, described["identities"], described["files"], [Skipped(*s) for s in described["skipped"]]
        )
        fits = pixels.dtype == np.uint8 and pixels.shape == (len(images), 3, side, side)
        return images if fits and len(images.files) == len(images) else None
    except Exception:  # no cache, or one damaged in whatever way: decode again
        return None


def _write(folder: Path, key: str, images: ImageSet) -> None:
    def save(target: Path) -> None:
        with target.open("wb") as file:
            np.save(file, images.pixels, allow_pickle=False)

    write_atomic(folder / f"{key}.npy", save)
    skipped = [(s.path, s.reason) for s in images.skipped]
    described = {"identities": list(images.identities), "files": list(images.files), "skipped": skipped}
    write_json(folder / f"{key}.json", described)


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
