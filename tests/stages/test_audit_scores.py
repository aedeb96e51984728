"""Raw scores on disk: a row for each number, in no more memory than a line, and whole or not at all."""

from __future__ import annotations

import csv
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from logitleak.stages import audit_scores
from logitleak.stages.audit_scores import COLUMNS, Line, write_scores
from logitleak.stages.audit_truth import Answers, Scored


def scored(*worlds: Answers, answer: str = "membership") -> Scored:
    return Scored("identity", "sum, half", answer, answer, worlds)  # type: ignore[arg-type]


def test_every_number_has_a_row_and_says_of_whom_it_is(tmp_path: Path) -> None:
    values = torch.tensor([[1.0, torch.nan], [1 / 3, -2.0]], dtype=torch.float64)
    both: Answers = [([0, 1], values), ([2, 3, 4], values[:1])]
    write_scores(tmp_path, [scored(both, [([5], values[1:])]), scored([([0], values[1])], answer="records")])
    with (tmp_path / "scores.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert tuple(header) == COLUMNS
    assert [row[3:] for row in rows] == [
        ["0", "0", "0", "1"], ["0", "0", "1", "nan"], ["0", "1", "0", "0.333333333"], ["0", "1", "1", "-2"],
        ["0", "2+3+4", "0", "1"], ["0", "2+3+4", "1", "nan"], ["1", "5", "0", "0.333333333"], ["1", "5", "1", "-2"],
        ["0", "", "0", "0.333333333"], ["0", "", "1", "-2"],
    ]  # fmt: skip
    arrays = np.load(tmp_path / "scores.npz")
    np.testing.assert_array_equal(arrays["identity/sum, half/membership/0/1"], values[:1].numpy())


@pytest.mark.slow
def test_rows_are_not_collected(tmp_path: Path) -> None:
    """A hundred clients and 2,000 targets: as a list of rows they took more than 40 MB."""
    many = scored([(range(100), torch.rand(100, 2000, dtype=torch.float64))])
    tracemalloc.start()
    write_scores(tmp_path, [many])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    with (tmp_path / "scores.csv").open() as file:
        assert sum(1 for _ in file) == 200_001
    assert peak < 12e6


def test_what_fails_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = torch.ones(3, 2, dtype=torch.float64)
    write_scores(tmp_path, [scored([([0, 1, 2], values)])])
    before = (tmp_path / "scores.csv").read_bytes()
    lines = audit_scores._lines

    def broken(one: Scored) -> Iterator[Line]:
        yield from lines(one)
        raise OSError("no space left")

    monkeypatch.setattr(audit_scores, "_lines", broken)
    with pytest.raises(OSError, match="no space left"):
        write_scores(tmp_path, [scored([([0, 1, 2], 2 * values)])])
    assert (tmp_path / "scores.csv").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scores.csv", "scores.npz"]
