"""Many cells as one number: shares pooled over targets and seeds with their interval, other values as means."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from logitleak.metrics.paired import TABLE, counted_leak
from logitleak.metrics.proportion import clustered
from logitleak.report.sweep.load import Cell, Sweep, spelled

SHARES = ("accuracy", "out", "wins", "owner_wins", "too_close", "owner_named", "prior_accuracy")

LEAK = "leak"
LEAKS = (LEAK, "owner_leak")
"""Differences of shares, in points."""

NAMES = {
    "accuracy": "attack accuracy",
    "out": "success of the same attack where the target’s images were not used",
    "leak": "leak: success with the target’s images less success without them",
    "owner_leak": "leak of the image that the target’s owner gives",
    "wins": "targets whose image with their data is the better likeness",
    "owner_wins": "the same of the image that the target’s owner gives",
    "ssim_out": "mean SSIM to the truth where the target’s images were not used",
    "too_close": "too close to public",
    "owner_named": "owner named",
    "ssim": "mean SSIM to the truth",
    "prior_accuracy": "accuracy of the prior’s image by itself, without any upload",
    "prior_ssim": "mean SSIM of the prior image to the truth",
    "identity": "who is at which client: area under the curve, one half is a coin",
    "utility": "utility: mean accuracy of the clients’ models on held-out images",
}

COLUMNS = {"utility": "utility_clients"}
"""Where the table calls a value otherwise."""

OF_FEDERATIONS = ("identity", "utility", "utility_server")
"""What all cells of a federation share, whatever the attack."""


@dataclass(frozen=True)
class Value:
    """What some cells give together.

    Attributes:
        value: a pooled share, or a mean.
        low, high: the Wilson 95 % interval of a share (of one try of each target where worlds try it again),
            Newcombe's of a leak in pairs; the least and greatest value of a mean.
        successes, trials: of a share; None for a mean.
        least, most: a share's least and greatest value among seeds; a mean's among its cells.
        count, unit: how many seeds (of a share), cells or federations (of a mean) these are.
    """

    value: float
    low: float
    high: float
    successes: int | None
    trials: int | None
    least: float
    most: float
    count: int
    unit: str


def pooled(cells: Sequence[Cell], name: str) -> Value | None:
    """The value of some cells together; None where none of them has it."""
    column = COLUMNS.get(name, name)
    once = distinct([cell for cell in cells if _known(cell, column, name in SHARES)], name)
    if not once:
        return None
    if name in SHARES:
        return _share(once, column)
    table = [f"{name.removesuffix(LEAK)}{count}" for count in TABLE]
    if name in LEAKS and all(_known(cell, count, False) for cell in once for count in table):
        return _leak(once, table)
    values = [float(cell.row[column]) for cell in once]
    least, most = min(values), max(values)
    unit = "federations" if name in OF_FEDERATIONS else "cells"
    return Value(statistics.fmean(values), least, most, None, None, least, most, len(values), unit)


def in_percent(name: str) -> bool:
    """Whether a value is a share, or a difference of shares."""
    return name in (*SHARES, *LEAKS, "utility")


def distinct(cells: Sequence[Cell], name: str) -> list[Cell]:
    """Every cell that has a value of its own, once: two places in the grid may be the same cell."""
    own = {cell.federation if name in OF_FEDERATIONS else cell.id: cell for cell in cells}
    return list(own.values())


def _leak(cells: Sequence[Cell], table: Sequence[str]) -> Value:
    """Pairs pooled over targets and seeds. Targets of one federation share its models: the interval does not know."""
    seeds = [_counted(group, table) for group in grouped(cells, ["seed"]).values()]
    values = [(only_in - only_out) / sum(row) for row in seeds for _, only_in, only_out, _ in (row,)]
    both, only_in, only_out, neither = (sum(column) for column in zip(*seeds, strict=True))
    found = counted_leak(both, only_in, only_out, neither)
    pairs = both + only_in + only_out + neither
    return Value(
        found["value"], found["low"], found["high"], None, pairs, min(values), max(values), len(values), "seeds"
    )  # fmt: skip


def _counted(cells: Sequence[Cell], table: Sequence[str]) -> tuple[int, int, int, int]:
    both, only_in, only_out, neither = (sum(int(cell.row[name]) for cell in cells) for name in table)
    return both, only_in, only_out, neither


def _share(cells: Sequence[Cell], column: str) -> Value:
    successes, trials = _counts(cells, column)
    seeds = grouped(cells, ["seed"]).values()
    values = [hits / of for hits, of in (_counts(group, column) for group in seeds)]
    found = clustered(successes, trials, sum(_units(cell, column) for cell in cells))
    return Value(
        found["value"], found["low"], found["high"], successes, trials, min(values), max(values), len(values), "seeds"
    )  # fmt: skip


def _counts(cells: Iterable[Cell], column: str) -> tuple[int, int]:
    successes = trials = 0
    for cell in cells:
        # Shares are of all targets of the cell, so the count is the share times the targets.
        of = _trials(cell, column)
        successes += round(cell.row[column] * of)
        trials += of
    return successes, trials


def _trials(cell: Cell, column: str) -> int:
    """How many targets a share is of: those that were out, those that did not tie, or all."""
    if column == "out" and cell.row.get("out_targets") is not None:
        return int(cell.row["out_targets"])
    ties = {"wins": "ties", "owner_wins": "owner_ties"}.get(column)
    return int(cell.row["targets"]) - (int(cell.row.get(ties) or 0) if ties else 0)


def _units(cell: Cell, column: str) -> int:
    """How many different targets stand behind these tries: more than two worlds leave a target out several times."""
    units = cell.row.get("out_units") if column == "out" else None
    return _trials(cell, column) if units is None else int(units)


def _known(cell: Cell, column: str, share: bool) -> bool:
    numbers: list[Any] = [cell.row.get(column), *([cell.row.get("targets")] if share else [])]
    return all(isinstance(number, (int, float)) for number in numbers) and bool(not share or numbers[1] > 0)


def grouped(cells: Iterable[Cell], axes: Sequence[str]) -> dict[tuple[str, ...], list[Cell]]:
    """Cells by their labels on some axes."""
    groups: dict[tuple[str, ...], list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.on(axes), []).append(cell)
    return groups


def ordered(sweep: Sweep, cells: Iterable[Cell], axes: Sequence[str]) -> dict[tuple[str, ...], list[Cell]]:
    """Cells by their labels on some axes, in the order of the grid; who lacks an axis comes last on it."""
    ranks = [{label: rank for rank, label in enumerate(sweep.labels(axis))} for axis in axes]

    def place(labels: tuple[str, ...]) -> list[int]:
        return [rank.get(label, len(rank)) for rank, label in zip(ranks, labels, strict=True)]

    groups = grouped(cells, axes)
    return {labels: groups[labels] for labels in sorted(groups, key=place)}


def chosen(cells: Iterable[Cell], only: dict[str, list[str]]) -> list[Cell]:
    """The cells that have one of the given labels on every given axis, or do not lie on it."""
    return [
        cell
        for cell in cells
        if all(axis not in cell.axes or cell.axes[axis] in labels for axis, labels in only.items())
    ]


def pooled_over(cells: Iterable[Cell], named: Sequence[str]) -> list[str]:
    """The axes on which cells that are pooled differ, for the caption: "2 seeds", "tau (3, 10)"."""
    said: dict[str, dict[str, None]] = {}
    for group in grouped(cells, named).values():
        for axis in dict.fromkeys(axis for cell in group for axis in cell.axes):
            labels = dict.fromkeys(cell.axes[axis] for cell in group if axis in cell.axes)
            if len(labels) > 1:
                said.setdefault(axis, {}).update(labels)
    return [
        f"{len(labels)} seeds"
        if axis == "seed"
        else f"{axis} ({', '.join(spelled(axis, label) for label in labels)})"
        for axis, labels in sorted(said.items(), key=lambda item: item[0] != "seed")
    ]
