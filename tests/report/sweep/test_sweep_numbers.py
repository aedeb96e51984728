"""The numbers of a sweep's tables: pooled shares against scipy, the paper's numbers, the order of the grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fabricate_sweep import fabricate_sweep, read_lines, write_lines
from scipy.stats import binomtest

from logitleak.metrics.paired import paired_leak
from logitleak.metrics.proportion import clustered, wilson
from logitleak.report.sweep import paper
from logitleak.report.sweep.load import NONE, Cell, Show, Sweep, load_sweep
from logitleak.report.sweep.pooling import ordered, pooled, pooled_over
from logitleak.report.sweep.record import _score
from logitleak.report.sweep.tables import caption, shown, tables
from logitleak.sweep import config

NAMES = {"data": {"synthetic": "LFW"}}


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return load_sweep(fabricate_sweep(tmp_path / "sweep", schemes=("fedmd", "dsfl"), clients=(1, 10)))


def cells(sweep: Sweep, **axes: str) -> list[Cell]:
    return [cell for cell in sweep.cells if all(cell.axes.get(axis) == label for axis, label in axes.items())]


@pytest.mark.parametrize(("successes", "trials"), [(0, 8), (8, 8), (1, 20), (33, 40), (3, 200), (1, 1)])
def test_wilson_is_scipys(successes: int, trials: int) -> None:
    interval = binomtest(successes, trials).proportion_ci(method="wilson")
    assert wilson(successes, trials) == pytest.approx((interval.low, interval.high), abs=1e-12)


@pytest.mark.parametrize("name", ["accuracy", "too_close", "owner_named"])
def test_shares_pool_the_targets_of_all_seeds(sweep: Sweep, name: str) -> None:
    group = cells(sweep, attack="ridge", clients="10", scheme="fedmd")
    assert len(group) == 2
    value = pooled(group, name)
    assert value is not None
    each = [round(cell.row[name] * cell.row["targets"]) for cell in group]
    interval = binomtest(sum(each), 16).proportion_ci(method="wilson")
    assert (value.successes, value.trials) == (sum(each), 16)
    assert (value.low, value.high) == pytest.approx((interval.low, interval.high), abs=1e-12)
    assert (value.least, value.most, value.count) == (min(each) / 8, max(each) / 8, 2)


def test_tries_of_one_target_in_many_worlds_are_one_target(sweep: Sweep) -> None:
    """Two seeds of eight targets in four worlds, which leave each of them out twice."""
    group = cells(sweep, attack="ridge", clients="10", scheme="fedmd")
    tries = {"out": 0.25, "out_targets": 16, "out_units": 8}
    value = pooled([Cell(cell.row | tries, cell.axes) for cell in group], "out")
    assert value is not None
    assert (value.successes, value.trials) == (8, 32)
    alone = clustered(8, 32, 16)
    assert (value.low, value.high) == (alone["low"], alone["high"])
    assert alone["high"] - alone["low"] > wilson(8, 32)[1] - wilson(8, 32)[0]


def test_leaks_pool_the_pairs_of_all_seeds(sweep: Sweep) -> None:
    """Two seeds of eight targets in twin worlds, as one table of sixteen."""
    group = cells(sweep, attack="ridge", clients="10", scheme="fedmd")
    names = ("both", "only_in", "only_out", "neither")
    counts = [dict(zip(names, row, strict=True)) for row in ((1, 5, 0, 2), (0, 3, 1, 4))]
    twins = [Cell(cell.row | row | {"leak": 0.5}, cell.axes) for cell, row in zip(group, counts, strict=True)]
    value = pooled(twins, "leak")
    assert value is not None
    expected = paired_leak([True] * 9 + [False] * 7, [True] + [False] * 8 + [True] + [False] * 6)
    assert value.value == pytest.approx(7 / 16)
    assert (value.low, value.high) == pytest.approx((expected["low"], expected["high"]))
    assert (value.least, value.most, value.count, value.trials) == (2 / 8, 5 / 8, 2, 16)
    assert shown(value, "leak") == "+44"
    assert pooled(group, "leak") is None  # no game was played


def test_other_values_are_means_with_their_range(sweep: Sweep) -> None:
    group = cells(sweep, attack="tbi", clients="1", scheme="dsfl")
    value = pooled(group, "ssim")
    assert value is not None
    numbers = [cell.row["ssim"] for cell in group]
    assert value.value == pytest.approx(sum(numbers) / 2)
    assert (value.low, value.high, value.trials) == (min(numbers), max(numbers), None)


def test_a_cell_in_two_places_counts_once_and_gaps_do_not(sweep: Sweep) -> None:
    (one,) = cells(sweep, attack="tbi", clients="1", scheme="dsfl", seed="0")
    gap = Cell(one.row | {"id": "other", "accuracy": None, "targets": None}, one.axes)
    value = pooled([one, one, gap], "accuracy")
    assert value is not None
    assert value.trials == 8
    assert pooled([gap], "accuracy") is None
    assert pooled(cells(sweep, clients="1"), "owner_named") is None


def test_utility_is_of_federations_however_many_attacks_there_are(sweep: Sweep) -> None:
    value = pooled(cells(sweep, clients="1", scheme="dsfl"), "utility")
    assert value is not None
    assert (value.count, value.unit) == (2, "federations")
    show = Show(rows=["clients"], columns=["scheme"], value="utility")
    assert caption(sweep, show, sweep.cells).endswith("Pooled over 2 seeds.")


def test_labels_keep_the_order_of_the_grid_and_ragged_axes_come_last(sweep: Sweep) -> None:
    assert list(ordered(sweep, sweep.cells, ["scheme", "clients"])) == [
        ("fedmd", "1"), ("fedmd", "10"), ("dsfl", "1"), ("dsfl", "10"),
    ]  # fmt: skip
    assert list(ordered(sweep, sweep.cells, ["tau"])) == [("1",), ("3",), (NONE,)]
    assert pooled_over(sweep.cells, ["attack", "scheme", "clients"]) == ["2 seeds", "tau (1, 3)"]


def test_heads_span_what_they_hold_for(sweep: Sweep) -> None:
    show = Show(rows=["attack", "tau"], columns=["scheme", "clients"])
    (table,) = tables(sweep, show, sweep.cells)
    assert table["heads"] == [
        [("FedMD", 2), ("DS-FL", 2)],
        [("clients 1", 1), ("clients 10", 1), ("clients 1", 1), ("clients 10", 1)],
    ]
    assert [line["heads"] for line in table["body"]] == [
        [("ridge", 1), (NONE, 1)], [("pli", 2), ("1", 1)], [("3", 1)], [("tbi", 1), (NONE, 1)],
    ]  # fmt: skip


def entries(sweep: Sweep, show: Show) -> dict[tuple[str, ...], dict[str, Any]]:
    """The paper's side of every place of a table, by its labels."""
    lines = ordered(sweep, sweep.cells, [*show.rows, *show.columns])
    (table,) = tables(sweep, show, sweep.cells)
    flat = [cell.get("paper") for line in table["body"] for cell in line["cells"]]
    return dict(zip(lines, flat, strict=True))


def test_the_papers_numbers_stand_beside_ours(sweep: Sweep) -> None:
    show = Show(rows=["attack", "clients"], columns=["scheme"], paper="table2", paper_names=NAMES)
    beside = entries(sweep, show)
    (pli,) = {pooled(cells(sweep, attack="pli", clients="10", scheme="fedmd"), "accuracy")}
    assert pli is not None
    assert beside["ridge", "1", "fedmd"] is None
    assert beside["pli", "10", "fedmd"] == {
        "number": "79.0%",
        "points": f"{pli.value * 100 - 79:+.1f}".replace("-", "−"),
        "outside": not pli.low <= 0.79 <= pli.high,
    }
    assert beside["tbi", "1", "dsfl"]["number"] == "73.5%"
    assert beside["tbi", "1", "dsfl"]["outside"]
    assert not beside["tbi", "10", "fedmd"]["outside"]


def test_pooling_over_what_the_paper_tells_apart_has_no_number_of_the_papers(sweep: Sweep) -> None:
    show = Show(rows=["attack"], columns=["scheme"], paper="table2", paper_names=NAMES)
    assert set(map(str, entries(sweep, show).values())) == {"None"}


def test_table3_goes_by_q(tmp_path: Path) -> None:
    folder = fabricate_sweep(tmp_path / "sweep", schemes=("fedmd",), clients=(10,), seeds=(0,))
    lines = read_lines(folder)
    for line, q in zip(lines, ("full", "client", "full", "server"), strict=True):
        line["axes"] = {"attack": "pli", "people": "masked", "q": q, "seed": 0}
    write_lines(folder, lines)
    show = Show(rows=["q"], paper="table3", paper_names={"people": {"masked": "LAG"}})
    beside = entries(load_sweep(folder), show)
    assert beside["full",]["number"] == "65.5%"
    assert beside["client",]["number"] == "57.0%"
    assert beside["server",] is None


def test_the_papers_tables_are_whole() -> None:
    assert len(paper.TABLE2) == 36
    assert paper.TABLE2["FaceScrub", "FedMD", "PLI", "10"] == 74.5
    assert paper.TABLE2["LAG", "FedGEMS", "PLI", "1"] == 17.0
    assert paper.TABLE2["LFW", "DS-FL", "TBI", "1"] == 73.5
    assert paper.TABLE3 == {
        ("FaceScrub", "client"): 55.5, ("LAG", "client"): 57.0, ("LFW", "client"): 71.5,
        ("FaceScrub", "full"): 70.0, ("LAG", "full"): 65.5, ("LFW", "full"): 76.5,
    }  # fmt: skip


def test_the_report_reads_every_field_of_the_configuration() -> None:
    assert set(Show.__dataclass_fields__) == set(config.Show.model_fields)


@pytest.mark.parametrize(
    ("candidate", "said"),
    [
        ({"wins": 0.75, "leak": 0.1}, "wins 75%"),
        ({"leak": 0.25}, "leak 25"),
        ({"accuracy": 0.5, "ssim": 0.61}, "50%, SSIM 0.610"),
        ({}, NONE),
    ],
)
def test_what_a_candidate_was_judged_by(candidate: dict[str, float], said: str) -> None:
    assert _score(candidate) == said
