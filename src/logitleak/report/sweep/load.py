"""Read a sweep's folder: the plan, the table, and the files of cells and federations as they are asked for."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from logitleak.formats import Metrics, ResultFile, TimingsFile
from logitleak.formats.parts import Record
from logitleak.formats.reading import parse_json, reason
from logitleak.report.parts.load import (
    SCHEMES,
    ReportError,
    read_optional,
    read_required,
    rows,
    table,
)
from logitleak.text import is_number, noun_of

NONE = "–"
"""The label of a cell on an axis that does not concern it."""


@dataclass(frozen=True)
class Show:
    """One table or figure that the sweep asks for; the fields are those of the sweep's configuration."""

    kind: str = "table"
    title: str = ""
    rows: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    panels: list[str] = field(default_factory=list)
    size: str | None = None
    value: str = "accuracy"
    strip: str = "cell"
    targets: int = 6
    only: dict[str, list[Any]] = field(default_factory=dict)
    paper: str | None = None
    paper_names: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def axes(self) -> list[str]:
        """Every axis that it names."""
        named = [*self.rows, *self.columns, *self.panels, *([self.size] if self.size else []), *self.only]
        return list(dict.fromkeys(named))

    @property
    def places(self) -> list[str]:
        """Panels, rows and columns at once, for figures that make a panel of each."""
        return list(dict.fromkeys([*self.panels, *self.rows, *self.columns]))


@dataclass(frozen=True)
class Cell:
    """A line of the table; its axes as text, the seed among them."""

    row: dict[str, Any]
    axes: dict[str, str]

    @property
    def id(self) -> str:
        """The name of its folder."""
        return str(self.row.get("id"))

    @property
    def federation(self) -> str:
        """The name of its federation's folder."""
        return str(self.row.get("federation"))

    @property
    def status(self) -> str:
        """`finished`, `failed` or `missing`."""
        return str(self.row.get("status", "missing"))

    def on(self, axes: Iterable[str]) -> tuple[str, ...]:
        """Its labels on some axes."""
        return tuple(self.axes.get(axis, NONE) for axis in axes)


@dataclass(frozen=True)
class Sweep:
    """All that the report reads."""

    folder: Path
    title: str
    grid: dict[str, Any]
    base: Any
    show: list[Show]
    cells: list[Cell]
    _read: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def axes(self) -> list[str]:
        """Every axis of some cell: the attack first, the seed last."""
        found = dict.fromkeys(axis for cell in self.cells for axis in cell.axes)
        return sorted(found, key=lambda axis: (axis != "attack", axis == "seed"))

    def labels(self, axis: str) -> list[str]:
        """The labels of an axis in the order of the grid."""
        return list(dict.fromkeys(cell.axes[axis] for cell in self.cells if axis in cell.axes))

    def said(self, axis: str, label: str) -> str:
        """A label where its axis is not written beside it."""
        if label == NONE:
            return f"no {axis}"
        named = axis in ("attack", "scheme", "data", "source") or isinstance(self.grid.get(axis), dict)
        return spelled(axis, label) if named and not is_number(label) else f"{axis} {label}"

    def phrase(self, axes: Iterable[str], labels: Iterable[str]) -> str:
        """A combination of labels in one line; axes that do not concern it are named only if no other does."""
        pairs = list(zip(axes, labels, strict=True))
        concerned = [(axis, label) for axis, label in pairs if label != NONE]
        return ", ".join(self.said(axis, label) for axis, label in concerned or pairs)

    def result(self, cell: Cell) -> dict[str, Any]:
        """`result.json` of a cell; empty where there is none.

        Raises:
            ReportError: it is damaged.
        """
        return self._file("cells", cell.id, "result.json", ResultFile) if cell.status == "finished" else {}

    def metrics(self, federation: str) -> dict[str, Any]:
        """`metrics.json` of a federation; empty where there is none.

        Raises:
            ReportError: it is damaged.
        """
        return self._file("federations", federation, "metrics.json", Metrics)

    def timings(self, federation: str) -> dict[str, Any]:
        """`timings.json` of a federation; empty where there is none.

        Raises:
            ReportError: it is damaged.
        """
        return self._file("federations", federation, "timings.json", TimingsFile)

    def place(self, kind: str, id: str) -> Path:
        """A folder; an id is a name and never a path."""
        return self.folder / kind / (Path(id).name or "none")

    def federations(self) -> list[str]:
        """The federations that have numbers, in the order of the cells."""
        return [id for id in dict.fromkeys(cell.federation for cell in self.cells) if self.metrics(id)]

    @property
    def real(self) -> bool:
        """Whether images of real people are among the data."""
        return any(table(self.metrics(id), "data").get("synthetic") is False for id in self.federations())

    @property
    def noun(self) -> str:
        """What one label stands for: the word that all federations have, or else person."""
        nouns = {noun_of(self.metrics(id).get("noun")) for id in self.federations()}
        return nouns.pop() if len(nouns) == 1 else "person"

    def _file(self, kind: str, id: str, name: str, model: type[Record]) -> dict[str, Any]:
        path = self.place(kind, id) / name
        if str(path) not in self._read:
            self._read[str(path)] = read_optional(path, model)
        return self._read[str(path)]


def load_sweep(folder: Path) -> Sweep:
    """Read the sweep in `folder`; raise ReportError if plan or table are missing or unreadable."""
    plan = read_required(folder / "sweep.json", "this is no sweep's folder")
    cells = _cells(folder / "table.jsonl")
    shows = [_show(item) for item in rows(plan, "show")]
    title = str(plan.get("title") or folder.resolve().name)
    return Sweep(folder, title, table(plan, "grid"), plan.get("base"), shows, cells)


def text(value: Any) -> str:
    """A label as text; labels are compared as they are read."""
    if isinstance(value, str):
        return value
    return f"{value:g}" if isinstance(value, float) else json.dumps(value)


def spelled(axis: str, label: str) -> str:
    """A label as it is shown."""
    return SCHEMES.get(label, label) if axis == "scheme" else label


def _cells(path: Path) -> list[Cell]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise ReportError(f"{path} is missing: write the sweep's table before reporting on it") from None
    except (OSError, ValueError) as problem:
        raise ReportError(f"{path} cannot be read: {reason(problem)}") from None
    cells = []
    for number, line in enumerate(lines, start=1):
        try:
            row = parse_json(line)
        except ValueError as problem:
            raise ReportError(f"{path}, line {number}, cannot be read: {reason(problem)}") from None
        if not isinstance(row, dict) or not isinstance(row.get("axes"), dict):
            raise ReportError(f"{path}, line {number}, is no cell of a sweep")
        axes = {str(axis): text(label) for axis, label in row["axes"].items()}
        cells.append(Cell(row, axes if "seed" in axes else axes | {"seed": text(row.get("seed"))}))
    return cells


def _show(item: dict[str, Any]) -> Show:
    known = {name: value for name, value in item.items() if name in Show.__dataclass_fields__}
    return Show(**known)
