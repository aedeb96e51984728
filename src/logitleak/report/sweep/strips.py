"""Strips of images (Fig. 5, 6, 8, 10 and 11 of the paper): a few targets, their truth, and what was made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from logitleak.report.parts.images import at, chosen_images, gallery, reconstructions, tensor
from logitleak.report.parts.load import rows
from logitleak.report.run.gallery import data_uri, evenly, mark_of
from logitleak.report.sweep.load import Cell, Show, Sweep
from logitleak.report.sweep.pooling import ordered

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROUNDS = 8


@dataclass(frozen=True)
class Column:
    """One column of images: `kind` is truth, public or image; `facts` judges its images where it can."""

    title: str
    kind: str
    images: NDArray[Any]
    facts: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Strip:
    """Columns of images of the same targets."""

    name: str
    columns: list[Column]
    targets: list[int]
    labels: list[str]
    notes: list[str]


def strips(sweep: Sweep, show: Show, cells: Sequence[Cell]) -> list[Strip]:
    """A strip for every combination of panels and rows (and of columns, where rounds take the columns)."""
    rounds = show.strip == "round"
    by = list(dict.fromkeys([*show.panels, *show.rows, *(show.columns if rounds else [])]))
    found = []
    for labels, group in ordered(sweep, cells, by).items():
        notes: list[str] = []
        columns = _rounds(sweep, group, notes) if rounds else _columns(sweep, show, group, notes)
        if any(column.kind == "image" for column in columns):
            found.append(_strip(sweep.phrase(by, labels), show, columns, notes))
    return found


def first(cells: Sequence[Cell]) -> Cell | None:
    """The cell that stands for several: the first finished one, which has the first seed."""
    return next((cell for cell in cells if cell.status == "finished"), None)


def _strip(name: str, show: Show, columns: list[Column], notes: list[str]) -> Strip:
    count = min(len(column.images) for column in columns)
    facts = next((column.facts for column in columns if column.facts), [])
    labels = [str(fact.get("label", index)) for index, fact in enumerate(facts)]
    labels += [str(index) for index in range(len(labels), count)]
    # Evenly over all targets, and so the same ones in every strip of the same data: none is picked for its looks.
    return Strip(name, columns, evenly(list(range(count)), show.targets), labels, notes)


def _rounds(sweep: Sweep, cells: Sequence[Cell], notes: list[str]) -> list[Column]:
    cell = first(cells)
    if cell is None:
        return []
    _, images = reconstructions(sweep.place("cells", cell.id), notes)
    facts = rows(sweep.result(cell), "per_target")
    last = max(images, default=0)
    return [
        *_references(sweep, cell, notes),
        *(
            Column(f"R{round}", "image", images[round], facts if round == last else [])
            for round in evenly(list(images), ROUNDS)
        ),
    ]


def _columns(sweep: Sweep, show: Show, cells: Sequence[Cell], notes: list[str]) -> list[Column]:
    """A column for every combination of the columns' axes; truth anew where a column has other targets."""
    columns: list[Column] = []
    truth: NDArray[Any] | None = None
    for labels, group in ordered(sweep, cells, show.columns).items():
        cell = first(group)
        images = _images(sweep, show, cell, notes) if cell else None
        if cell is None or images is None:
            continue
        known = _references(sweep, cell, notes)
        own = next((column.images for column in known if column.kind == "truth"), None)
        if own is not None and (truth is None or not np.array_equal(own, truth)):
            columns += known
            truth = own
        facts = rows(sweep.result(cell), "per_target") if show.strip == "cell" else []
        title = sweep.phrase(show.columns, labels) or ("prior" if show.strip == "prior" else "rebuilt")
        columns.append(Column(title, "image", images, facts))
    return columns


def _images(sweep: Sweep, show: Show, cell: Cell, notes: list[str]) -> NDArray[Any] | None:
    folder = sweep.place("cells", cell.id)
    if show.strip == "prior":
        if not (folder / "prior.safetensors").is_file():
            return None
        kept = tensor(folder / "prior.safetensors", "images", 4, notes)
        return None if kept is None else kept / 255
    if not folder.is_dir():
        return None
    final, rounds = reconstructions(folder, notes)
    return chosen_images(final, rounds, rows(sweep.result(cell), "per_target"))


def _references(sweep: Sweep, cell: Cell, notes: list[str]) -> list[Column]:
    truth, public = gallery(sweep.place("federations", cell.federation), notes)
    named = (("truth", "truth", truth), ("public mean", "public", public))
    return [Column(title, kind, images) for title, kind, images in named if images is not None]


def placed(strip: Strip) -> dict[str, Any]:
    """A strip as the template reads it."""
    return {
        "name": strip.name,
        "heads": [(column.title, column.kind) for column in strip.columns],
        "lines": [
            {
                "label": strip.labels[target],
                "images": [_placed(strip, column, target) for column in strip.columns],
            }
            for target in strip.targets
        ],
        "notes": list(dict.fromkeys(strip.notes)),
    }


def _placed(strip: Strip, column: Column, target: int) -> dict[str, Any] | None:
    image = at(column.images, target)
    # All zeros stand for a label that has no public image.
    if image is None or (column.kind == "public" and not image.any()):
        return None
    fact = column.facts[target] if target < len(column.facts) else {}
    mark, word = mark_of(fact)
    ssim = fact.get("ssim")
    under = f"{ssim:.2f}" if ssim is not None else ""
    said = ", ".join(filter(None, [strip.name, column.title, f"label {strip.labels[target]}", word]))
    return {
        "src": data_uri(image),
        "alt": said,
        "kind": column.kind,
        "ssim": under,
        "mark": mark,
        "word": word,
    }
