"""Public and private images of a capture: which there are, in what order, and what they show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from logitleak.capture.description import Description
from logitleak.capture.findings import Findings, count, listed
from logitleak.capture.places import inside
from logitleak.capture.tables import Image, Table, read_table
from logitleak.data.decode import decode, dimensions
from logitleak.data.folder import images_in, subfolders
from logitleak.errors import UserError
from logitleak.sides import SIDES
from logitleak.text import as_counted
from logitleak.types import PublicData

T = TypeVar("T")
_MOST_BYTES = 2**33  # of decoded images


@dataclass(frozen=True)
class PublicSet:
    """The public set of a capture.

    Attributes:
        data: what everybody has.
        labels: int64 [N], whom each image shows as far as the table says, whether or not the server knows; None
            where it does not say.
    """

    data: PublicData
    labels: Tensor | None


def read_public(
    folder: Path, description: Description, findings: Findings
) -> tuple[PublicSet | None, int | None]:
    """The public images in their order, with labels and domains, and how many there are; None where something is
    wrong with them, and where their number is not certain."""
    public, before = description.public, findings.errors
    table = _table(folder, description, findings)
    if public.images is None:
        assert public.rows is not None
        files = [str(row) for row in range(public.rows)]
    else:
        present: list[str] = []
        with findings.at("public.images"):
            present = _files(inside(folder, public.images))
        if findings.errors > before:
            return None, None
        files = _ordered(present, table, description, findings)
    facts = _facts(files, table, findings)
    if findings.errors > before:
        return None, None
    labels = _labels(files, facts, description, findings)
    sensitive = torch.tensor([fact.domain != "insensitive" for fact in facts])
    _check_domains(sensitive, labels, table, description, findings)
    if public.images is None:
        findings.warn("public", "holds no images, so nothing can be rebuilt; the outputs can be recorded.")
        images: Tensor | None = torch.empty(len(files), 3, 0, 0, dtype=torch.uint8)
    else:
        images = _decode(inside(folder, public.images), files, public.image_size, "public.images", findings)
    if images is None or findings.errors > before:
        return None, len(files)
    data = PublicData(images, labels if public.labelled else None, sensitive)
    return PublicSet(data, labels), len(files)


def read_private(
    folder: Path, description: Description, side: int | None, findings: Findings
) -> tuple[Tensor, Tensor] | None:
    """The private images uint8 [n, 3, side, side] and their labels int64 [n]; None where something is wrong. Where the
    public rows are no images, one without a pixel stands for each target."""
    assert description.private is not None
    where, before = "private.images", findings.errors
    targets = {description.label_of(target) for target in description.targets}
    if description.private.images is None:
        known = sorted(label for label in targets if label is not None)
        return torch.empty(len(known), 3, 0, 0, dtype=torch.uint8), torch.tensor(known, dtype=torch.int64)
    files: list[str] = []
    labels: list[int] = []
    with findings.at(where):
        root = inside(folder, description.private.images)
        if not root.is_dir():
            raise UserError(f"there is no folder {description.private.images}.")
        for person in subfolders(root):
            label = description.label_of(person.name)
            if label not in targets or label is None:
                findings.error(where, f"the folder {person.name[:100]!r} is called like no target.")
                continue
            inside(root, person.name)  # before it is searched: a link may lead to a whole disk
            found = [str(path.relative_to(root)) for path in images_in(person, "**/*")]
            files += found
            labels += [label] * len(found)
        if missing := sorted(str(t) for t in targets - set(labels)):
            findings.error(
                where, f"there is no private image of target {listed(missing)}; scores need all of them."
            )
    if findings.errors > before:
        return None
    images = _decode(root, files, side, where, findings)
    return None if images is None else (images, torch.tensor(labels, dtype=torch.int64))


def _table(folder: Path, description: Description, findings: Findings) -> Table | None:
    name = description.public.table
    if name is None:
        return None
    with findings.at(name):
        path = inside(folder, name)
        if not path.is_file():
            raise UserError("is missing.")
        table = read_table(path, files=description.public.images is not None)
        if table.ignored:
            findings.warn(name, f"its columns {listed(table.ignored)} mean nothing here.")
        return table
    return None


def _files(root: Path) -> list[str]:
    """Image files in a folder, at any depth, sorted by name."""
    if not root.is_dir():
        raise UserError(f"there is no folder {root.name}.")
    files = sorted(path.relative_to(root).as_posix() for path in images_in(root, "**/*"))
    if not files:
        raise UserError("holds no images.")
    return files


def _ordered(
    present: list[str], table: Table | None, description: Description, findings: Findings
) -> list[str]:
    """The files of the public set, row 0 first."""
    order, where = description.public.order, "public.order"
    if order == "sorted":
        natural = sorted(present, key=as_counted)
        if natural != present:
            first, other = next((a, b) for a, b in zip(present, natural, strict=True) if a != b)
            findings.warn(
                where,
                f"file names are sorted by character, so {first} comes before {other}; if the rows were recorded "
                'in the order of the numbers, list the files in public.table and say order: "table".',
            )
        return present
    wanted = [image.file for image in table.images] if order == "table" and table is not None else list(order)
    for name, times in Counter(wanted).items():
        if times > 1:
            findings.error(where, f"{name[:100]} is listed {times} times.")
    if missing := sorted(set(wanted) - set(present)):
        findings.error(where, f"{count(len(missing), 'listed image')} missing: {listed(missing)}.")
    if extra := sorted(set(present) - set(wanted)):
        findings.warn(where, f"{count(len(extra), 'image')} not listed and left out: {listed(extra)}.")
    return wanted


def _facts(files: list[str], table: Table | None, findings: Findings) -> list[Image]:
    """The line of the table of every file; lines of nothing where there is no table."""
    if table is None:
        return [Image(file, None, None) for file in files]
    lines = {image.file: image for image in table.images}
    if len(lines) < len(table.images):
        findings.error("public.table", "names a file twice.")
    if missing := [file for file in files if file not in lines]:
        findings.error("public.table", f"has no line for {count(len(missing), 'image')}: {listed(missing)}.")
    if extra := sorted(set(lines) - set(files)):
        findings.error("public.table", f"names {count(len(extra), 'image')} not there: {listed(extra)}.")
    return [lines.get(file, Image(file, None, None)) for file in files]


def _labels(
    files: list[str], facts: list[Image], description: Description, findings: Findings
) -> Tensor | None:
    """The label of every public image; None where the table has none."""
    if all(fact.label is None for fact in facts):
        if description.public.labelled:
            findings.error(
                "public.labelled",
                "there is no column label in public.table; add it, or say labelled: false (the server has none).",
            )
        return None
    # Without labels on the server's side, people who are no class may be numbered from J: see sealed/truth.py.
    top = description.classes if description.public.labelled else 1_000_000
    found = [description.label_of(fact.label or "") for fact in facts]
    wrong = [
        f"{f} ({fact.label!r:.50})"
        for f, fact, n in zip(files, facts, found, strict=True)
        if n is None or n >= top
    ]
    if wrong:
        findings.error(
            "public.table", f"labels must be 0 to {top - 1}, or names; not those of {listed(wrong)}."
        )
    return torch.tensor([number or 0 for number in found], dtype=torch.int64)


def _check_domains(
    sensitive: Tensor,
    labels: Tensor | None,
    table: Table | None,
    description: Description,
    findings: Findings,
) -> None:
    targets = torch.tensor([t for t in map(description.label_of, description.targets) if t is not None])
    if table is None or all(image.domain is None for image in table.images):
        findings.warn("public.table", "there is no column domain, so every public image counts as sensitive.")
    if int(sensitive.sum()) < 2:
        findings.error(
            "public.table",
            "an attack needs two or more sensitive public images (of people who are no targets).",
        )
    if labels is None:
        return
    if misplaced := int(torch.isin(labels[sensitive], targets).sum()):
        findings.warn(
            "public.table",
            f"{count(misplaced, 'sensitive image')} of targets in the public set; their looks are then no secret.",
        )
    if unseen := [str(t) for t in targets[~torch.isin(targets, labels)].tolist()]:
        findings.warn("public.table", f"there is no public image of target {listed(unseen)}.")


def _decode(root: Path, files: list[str], side: int | None, where: str, findings: Findings) -> Tensor | None:
    """uint8 [n, 3, side, side]; None, and findings, where an image cannot be read or has another size."""
    before = findings.errors
    sizes: dict[tuple[int, int], str] = {}
    for file in files if side is None else ():
        with findings.at(f"{where}, {file[:100]}"):
            sizes.setdefault(_try(dimensions, inside(root, file)), file)
    if side is None and findings.errors == before:
        side = _common_side(sizes, where, findings)
    if side is None or findings.errors > before:
        return None
    if len(files) * 3 * side * side > _MOST_BYTES:
        findings.error(
            where, f"{len(files)} images of side {side} need more than 8 GiB; lower public.image_size."
        )
        return None
    if side not in SIDES and where == "public.images":
        findings.warn(
            where,
            f"images of side {side} suit ridge only; pli and tbi need one of {', '.join(map(str, SIDES))} "
            "(public.image_size).",
        )
    pixels = np.empty((len(files), 3, side, side), np.uint8)
    for row, file in enumerate(files):
        with findings.at(f"{where}, {file[:100]}"):
            pixels[row] = _try(decode, inside(root, file), side)
    return torch.from_numpy(pixels) if findings.errors == before else None


def _common_side(sizes: dict[tuple[int, int], str], where: str, findings: Findings) -> int | None:
    if len(sizes) > 1:
        shown = [f"{file} is {width}x{height}" for (width, height), file in sizes.items()]
        findings.error(where, f"images are of different size: {listed(shown)}; set public.image_size.")
        return None
    ((width, height),) = sizes
    if width != height or not 11 <= width <= 512:
        findings.error(
            where,
            f"images are {width}x{height}, and squares of side 11 to 512 are needed; set public.image_size.",
        )
        return None
    return width


def _try(read: Callable[..., T], path: Path, *arguments: int) -> T:
    """The errors of the decoder as a user's."""
    if not path.is_file():
        raise UserError("is no file.")
    try:
        return read(path, *arguments)
    except ValueError as error:
        raise UserError(f"{error}.") from None
