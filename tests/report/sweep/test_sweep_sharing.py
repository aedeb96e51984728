"""The figure of leak against how shared the classes are."""

from __future__ import annotations

import json
import math
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from fabricate_sweep import fabricate_sweep, read_lines
from scipy import stats

from logitleak.report.sweep.load import Show, load_sweep
from logitleak.report.sweep.sharing import holders, sharing

SVG = "{http://www.w3.org/2000/svg}"


def test_clients_that_a_class_is_at() -> None:
    """By scipy's entropy, and where it is known: all alike, one with everything, a class that nobody has."""
    counts = np.random.default_rng(0).integers(0, 9, (5, 7))
    counts[:, 3] = 0
    known = [math.exp(stats.entropy(column)) for column in counts.T if column.sum()]
    assert holders(counts.tolist()) == pytest.approx(np.mean(known))
    assert holders([[4, 1], [4, 0], [4, 0]]) == pytest.approx(2)
    assert holders([[0], [0]]) == 0


def test_a_dot_for_each_partition(tmp_path: Path) -> None:
    folder = fabricate_sweep(tmp_path / "sweep", seeds=(0,))
    for line in read_lines(folder):
        place = folder / "federations" / line["federation"] / "metrics.json"
        metrics = json.loads(place.read_text())
        shared = line["axes"]["scheme"] == "dsfl"
        clients = line["axes"]["clients"]
        metrics["data"]["holdings"] = [[3, 3]] * clients if shared and clients > 1 else None
        place.write_text(json.dumps(metrics))
    sweep = load_sweep(folder)
    only = [cell for cell in sweep.cells if cell.axes["attack"] in ("ridge", "tbi")]
    show = Show(kind="sharing", title="t", rows=["scheme"], panels=["clients"])
    panels = sharing(sweep, show, only)
    assert list(panels) == ["clients 1", "clients 3"]
    svg = ElementTree.fromstring(panels["clients 3"])
    assert len(svg.findall(f"{SVG}polyline")) == 2  # a line for each attack
    words = [element.text for element in svg.findall(f"{SVG}text")]
    assert {"ridge", "tbi", "FedMD", "DS-FL"} <= set(words)
    places = {
        e.text: float(e.get("x", "0")) for e in svg.findall(f"{SVG}text") if e.text in ("FedMD", "DS-FL")
    }
    assert places["FedMD"] < places["DS-FL"]  # everybody at one client, and everybody at three


def test_nothing_to_draw(tmp_path: Path) -> None:
    sweep = load_sweep(fabricate_sweep(tmp_path / "sweep", seeds=(0,)))
    assert sharing(sweep, Show(kind="sharing", rows=["scheme"], value="prior_ssim"), []) == {}
