"""Figures and strips of a sweep: what is drawn where, and which targets are shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from fabricate_sweep import fabricate_sweep, read_lines, write_lines

from logitleak.report.sweep.bars import bars
from logitleak.report.sweep.histograms import client_ssim, confidence
from logitleak.report.sweep.load import Show, Sweep, load_sweep
from logitleak.report.sweep.strips import strips
from logitleak.report.sweep.trade_off import trade_offs

SVG = "{http://www.w3.org/2000/svg}"
Relabel = Callable[[Callable[[dict[str, Any]], None]], Sweep]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return fabricate_sweep(tmp_path / "sweep", seeds=(0,))


@pytest.fixture
def relabel(folder: Path) -> Relabel:
    def change(how: Callable[[dict[str, Any]], None]) -> Sweep:
        lines = read_lines(folder)
        for line in lines:
            how(line)
        write_lines(folder, lines)
        return load_sweep(folder)

    return change


def elements(svg: str, tag: str) -> list[ElementTree.Element]:
    return ElementTree.fromstring(svg).findall(f"{SVG}{tag}")


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in elements(svg, "text")]


def test_bars_have_a_bar_for_each_value_and_a_dash_for_a_gap(relabel: Relabel) -> None:
    def lose(line: dict[str, Any]) -> None:
        if line["axes"]["attack"] == "tbi" and line["axes"]["scheme"] == "dsfl":
            line["accuracy"] = None

    sweep = relabel(lose)
    (svg,) = bars(sweep, Show(rows=["scheme"], columns=["attack", "tau"]), sweep.cells).values()
    assert len([bar for bar in elements(svg, "rect") if bar.get("fill-opacity")]) == 7
    assert texts(svg).count("–") == 1
    assert {"ridge", "pli, tau 1", "pli, tau 3", "tbi", "FedMD", "DS-FL"} <= set(texts(svg))


def test_trade_off_shows_zero_and_areas_that_grow_with_the_value(relabel: Relabel) -> None:
    def zero(line: dict[str, Any]) -> None:
        if line["axes"].get("tau") == 1:
            line["axes"]["tau"] = 0.0

    sweep = relabel(zero)
    panels = trade_offs(sweep, Show(title="t", size="tau", panels=["scheme", "clients"]), sweep.cells)
    assert list(panels) == ["FedMD, clients 1", "FedMD, clients 3", "DS-FL, clients 1", "DS-FL, clients 3"]
    for svg in panels.values():
        radii = [float(c.get("r", "0")) for c in elements(svg, "circle") if c.get("stroke")]
        assert radii == [3.5, 11.0]
        assert len(elements(svg, "polyline")) == 1
        assert {"0", "3"} <= set(texts(svg))


def test_trade_off_takes_labels_that_are_no_numbers(relabel: Relabel) -> None:
    def name(line: dict[str, Any]) -> None:
        if "tau" in line["axes"]:
            line["axes"]["tau"] = {1: "low", 3: "high"}[line["axes"]["tau"]]

    sweep = relabel(name)
    (svg,) = trade_offs(sweep, Show(size="tau", only={}), sweep.cells).values()
    assert {"low", "high"} <= set(texts(svg))


def test_confidence_is_the_mean_of_the_federations_of_a_panel(folder: Path) -> None:
    for path in (folder / "federations").glob("*/metrics.json"):
        metrics = json.loads(path.read_text())
        side = {1: [1.0, 0.0], 3: [0.0, 1.0]}[metrics["data"]["clients"]]
        metrics["confidence"] = {"bins": [0, 1, 2]} | {
            f"{who}_{where}": side for who in ("server", "client") for where in ("public", "private")
        }
        path.write_text(json.dumps(metrics))
    sweep = load_sweep(folder)
    apart = confidence(sweep, Show(panels=["scheme", "clients"]), sweep.cells)
    together = confidence(sweep, Show(panels=["scheme"]), sweep.cells)
    assert list(apart) == ["FedMD, clients 1", "FedMD, clients 3", "DS-FL, clients 1", "DS-FL, clients 3"]
    assert list(together) == ["FedMD", "DS-FL"]

    def highest(figures: dict[str, str]) -> int:
        return max(int(text[:-1]) for text in texts(figures["confidence-private"]) if text.endswith("%"))

    assert highest(apart["FedMD, clients 1"]) == 100
    assert 40 <= highest(together["FedMD"]) <= 50


def test_confidence_says_which_federations_a_panel_leaves_out(folder: Path) -> None:
    """Histograms over other classes have other bins and cannot be averaged."""
    for path in (folder / "federations").glob("*/metrics.json"):
        metrics = json.loads(path.read_text())
        bins = [0, 1, metrics["data"]["clients"] + 1]
        sides = [f"{who}_{where}" for who in ("server", "client") for where in ("public", "private")]
        metrics["confidence"] = {"bins": bins} | {side: [0.5, 0.5] for side in sides}
        path.write_text(json.dumps(metrics))
    sweep = load_sweep(folder)
    left_out = "1 of 2 federations (the others have other classes)"
    together = confidence(sweep, Show(panels=["scheme"]), sweep.cells)
    assert list(together) == [f"FedMD, {left_out}", f"DS-FL, {left_out}"]


def test_client_ssim_has_a_panel_for_each_attack_with_several_clients(folder: Path) -> None:
    sweep = load_sweep(folder)
    panels = client_ssim(sweep, Show(panels=["scheme"]), sweep.cells)
    assert list(panels) == [
        f"{scheme}, {attack}" for scheme in ("FedMD", "DS-FL") for attack in ("ridge", "pli", "tbi")
    ]
    assert {"owner (16)", "others (32)"} <= set(texts(panels["FedMD, pli"]))
    alone = [cell for cell in sweep.cells if cell.axes["clients"] == "1"]
    assert client_ssim(sweep, Show(panels=["scheme"]), alone) == {}


def test_strips_show_the_same_evenly_spread_targets(folder: Path) -> None:
    sweep = load_sweep(folder)
    found = strips(
        sweep, Show(kind="strips", rows=["attack", "clients"], columns=["scheme"], targets=3), sweep.cells
    )
    assert len(found) == 6
    assert {tuple(strip.targets) for strip in found} == {(0, 4, 7)}
    assert [column.title for column in found[0].columns] == ["truth", "public mean", "FedMD", "DS-FL"]


def test_strips_over_the_rounds_end_with_the_chosen_image(folder: Path) -> None:
    sweep = load_sweep(folder)
    (strip,) = strips(sweep, Show(strip="round"), [sweep.cells[0]])
    assert [column.title for column in strip.columns] == ["truth", "public mean", "R1", "R2", "R3"]
    assert [bool(column.facts) for column in strip.columns] == [False, False, False, False, True]


def test_strips_of_priors_leave_out_who_has_none(folder: Path) -> None:
    sweep = load_sweep(folder)
    (strip,) = strips(sweep, Show(strip="prior", columns=["attack"]), sweep.cells)
    assert [column.title for column in strip.columns] == ["truth", "public mean", "pli"]
    assert 0 <= strip.columns[2].images.min() <= strip.columns[2].images.max() <= 1


def test_another_truth_gets_its_own_column(folder: Path) -> None:
    from safetensors.numpy import load_file, save_file

    sweep = load_sweep(folder)
    other = next(cell.federation for cell in sweep.cells if cell.axes["scheme"] == "dsfl")
    path = folder / "federations" / other / "gallery.safetensors"
    images = load_file(path)
    save_file({name: np.ascontiguousarray(stack[::-1]) for name, stack in images.items()}, path)
    (strip,) = strips(sweep, Show(columns=["scheme"], only={}), sweep.cells)
    titles = [column.title for column in strip.columns]
    assert titles == ["truth", "public mean", "FedMD", "truth", "public mean", "DS-FL"]
