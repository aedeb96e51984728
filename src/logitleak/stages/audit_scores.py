"""The raw scores of an audit, for other tools: whole files or none, of which no more than a line is made at a time."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from logitleak.files.atomic import write_atomic
from logitleak.stages.audit_truth import Scored, apart

Line = tuple[str, str, str, int, str, int, str]

COLUMNS = ("audit", "onlooker", "variant", "world", "client", "place", "score")


def write_scores(folder: Path, scored: Sequence[Scored]) -> None:
    """Write every score: ``scores.npz``, an array for each audit, onlooker, variant, world and group of clients, and
    ``scores.csv``, a row for each number. They hold no truth.

    Raises:
        OSError: one cannot be written; what was there before stays.
    """

    def table(target: Path) -> None:
        with target.open("w", encoding="utf-8", newline="") as opened:
            writer = csv.writer(opened, lineterminator="\n")
            writer.writerow(COLUMNS)
            for one in scored:
                writer.writerows(_lines(one))

    def pack(target: Path) -> None:
        arrays = {
            "/".join((one.audit, one.onlooker, one.variant, str(number), str(group))): values.numpy()
            for one in scored
            for number, world in enumerate(one.worlds)
            for group, (_, values) in enumerate(world)
        }
        with target.open("wb") as opened:
            np.savez_compressed(opened, allow_pickle=False, **arrays)

    write_atomic(folder / "scores.csv", table)
    write_atomic(folder / "scores.npz", pack)


def _lines(one: Scored) -> Iterator[Line]:
    """A line for each number of one variant; of images nobody is named, and of a sum all whose data are in it."""
    for number, world in enumerate(one.worlds):
        for about, values in world:
            for row, line in enumerate(values if values.dim() > 1 else values[None]):
                if values.dim() == 1:
                    who = ""
                else:
                    who = str(about[row]) if apart(about, values) else "+".join(map(str, about))
                for place, value in enumerate(line.tolist()):
                    yield (one.audit, one.onlooker, one.variant, number, who, place, f"{value:.9g}")
