"""What a data set holds, in lines and in one picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from logitleak import registry
from logitleak.data.base import UNLABELLED, Dataset, DataSource, ImageSet
from logitleak.errors import UserError
from logitleak.files.atomic import write_atomic

_SKIPPED = 10  # files named one by one; a large download has thousands that are damaged


def build(source: str, root: Path | None, image_size: int) -> DataSource:
    """A registered source with its default settings.

    Raises:
        UserError: an unknown source, a size that no run takes, or no folder.
    """
    source_class = registry.load("data", source)
    if not 16 <= image_size <= 256:
        raise UserError(f"Images have a side of 16 to 256 pixels, not {image_size}; change --image-size.")
    made: DataSource = source_class(source_class.Settings(), root, image_size)
    return made


def load(source: str, root: Path | None, image_size: int) -> Dataset:
    """The images of a registered source with its default settings.

    Raises:
        UserError: as `build`, or a folder without images.
    """
    return build(source, root, image_size).load()


def describe(dataset: Dataset) -> Iterator[str]:
    """People and images of each domain, and files that were left out: the first ones, and how many more."""
    yield dataset.title
    if dataset.public is not None:
        classes = len(set(dataset.public.identities) - {UNLABELLED})
        labelled = f"{classes} classes" if classes else "not labelled"
        yield f"  public set of its own: {len(dataset.public)} images, {labelled}"
        yield from _skipped(dataset.public)
    for domain, images in (("sensitive", dataset.sensitive), ("insensitive", dataset.insensitive)):
        if images is None:
            yield f"  {domain}: none of its own; a degradation makes it, or the protocol one-domain needs none"
            continue
        counts = [len(rows) for rows in images.by_identity().values()]
        yield (
            f"  {domain}: {len(counts)} people, {len(images)} images, {min(counts)} to {max(counts)} each, "
            f"{images.pixels.shape[-1]}x{images.pixels.shape[-2]} pixels"
        )
        yield from _skipped(images)


def _skipped(images: ImageSet) -> Iterator[str]:
    for skipped in images.skipped[:_SKIPPED]:
        yield f"    skipped {skipped.path}: {skipped.reason}"
    if len(images.skipped) > _SKIPPED:
        yield f"    skipped {len(images.skipped) - _SKIPPED} more"


def sheet(dataset: Dataset, out: Path, people: int, images: int, degradation: str | None) -> None:
    """Write a PNG with a row for each person: sensitive images, a gap, insensitive images.

    Raises:
        UserError: a number below 1, or a file name that is no PNG.
    """
    if people < 1 or images < 1:
        raise UserError("A sheet needs at least one person and one image; raise --people or --images.")
    if out.suffix.lower() != ".png":
        raise UserError(f"The sheet is a PNG; {out} must end in .png.")
    other = dataset.insensitive
    if degradation is not None:
        degrade_class = registry.load("degradation", degradation)
        changed = degrade_class(degrade_class.Settings())(dataset.sensitive.pixels, dataset.sensitive.files)
        other = ImageSet(changed, dataset.sensitive.identities, dataset.sensitive.files)
    side = dataset.sensitive.pixels.shape[-1]
    rows = []
    for name in list(dataset.sensitive.by_identity())[:people]:
        parts = [_strip(dataset.sensitive, name, images)]
        if other is not None:
            parts += [np.full((side, side // 4, 3), 255, np.uint8), _strip(other, name, images)]
        rows.append(np.hstack(parts))
    picture = Image.fromarray(np.vstack(rows))
    write_atomic(out, lambda target: picture.save(target, "PNG"))


def _strip(images: ImageSet, name: str, count: int) -> np.ndarray:
    """The first images of a person side by side, uint8 [H, count · W, 3]; white where there are fewer."""
    rows = images.by_identity().get(name, [])[:count]
    height, width = images.pixels.shape[-2:]
    strip = np.full((height, count * width, 3), 255, np.uint8)
    for i, row in enumerate(rows):
        strip[:, i * width : (i + 1) * width] = images.pixels[row].transpose(1, 2, 0)
    return strip
