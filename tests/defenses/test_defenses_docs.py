"""What docs/defenses.md says is so."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import yaml

from logitleak import config as configs
from logitleak import registry
from logitleak.defenses.accounting import upward
from logitleak.defenses.dp_budget import spent
from logitleak.defenses.draws import System
from logitleak.stages.check import check
from logitleak.sweep.cells import combine
from logitleak.sweep.config import Sweep
from needs import require

TEXT = (Path(__file__).parents[2] / "docs" / "defenses.md").read_text(encoding="utf-8")


def blocks() -> list[dict[str, Any]]:
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)]


def test_the_configuration_and_the_sweep_are_valid() -> None:
    defended, sweep = blocks()
    config = configs.parse(defended | {"federation": {"clients": 4}})
    check(config)
    assert [entry.name for entry in config.defenses] == ["round", "gaussian", "hard-label"]
    cells = combine(Sweep.model_validate(sweep))
    assert {cell.axes["defense"] for cell in cells} == {"none", "hard-label", "noise"}
    assert len({cell.federation for cell in cells}) == 3


def test_every_defense_is_in_the_table() -> None:
    named = re.findall(r"^\| `([a-z-]+)` \|", TEXT, re.MULTILINE)
    assert named == registry.names("defense")


def test_drawn_and_promised() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \|.*\| (yes|no) \| (.*) \|$", TEXT, re.MULTILINE)
    for name, _, promised in rows:
        cls = registry.load("defense", name)
        guarantee = cls(cls.Settings(), "logits", System()).guarantee(10, 2)
        assert (guarantee == "none") is (promised == "nothing")


def test_the_table_of_epsilons() -> None:
    cls = registry.load("defense", "gaussian")
    (sigmas,) = re.findall(r"^\| `gaussian`, `clip: 10` \| σ = (.*) \|$", TEXT, re.MULTILINE)
    rows = re.findall(r"^\| (logits|probabilities): (a client|an answer) \| (.*) \|$", TEXT, re.MULTILINE)
    assert len(rows) == 4
    for kind, unit, said in rows:
        for sigma, epsilon in zip(sigmas.split(" | "), said.split(" | "), strict=True):
            made = cls(cls.Settings(clip=10, sigma=float(sigma.replace(",", ""))), kind, System())
            assert upward(made.epsilon(2000 if unit == "a client" else 1, 5)) == epsilon


def test_the_table_of_noise_in_training() -> None:
    require("opacus")
    (noises,) = re.findall(r"^\| n images \| `noise` (.*) \|$", TEXT, re.MULTILINE)
    rows = re.findall(r"^\| (\d+) \| ([\d.]+ \| .*) \|$", TEXT, re.MULTILINE)
    assert len(rows) == 4
    for images, said in rows:
        for noise, epsilon in zip(noises.split(" | "), said.split(" | "), strict=True):
            n = int(images)
            steps = 10 * math.ceil(n / 64)
            assert upward(spent(float(noise), min(1, 64 / n), steps, 1e-5, "prv")) == epsilon
