"""The forecast of a run's memory against what runs held, and models that are gone when they are done."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import logitleak
from logitleak.attacks.networks import InversionNetwork
from logitleak.config import parse
from logitleak.data.selection import Sizes
from logitleak.files.storage import read_json, write_json
from logitleak.machine import forecast
from logitleak.stages.banks import scheme_of
from logitleak.stages.footprint import footprint
from logitleak.stages.plan import plan
from logitleak.stages.simulation import Simulation

Config = Callable[..., dict[str, Any]]


def forecast_of(
    config: dict[str, Any], public: int = 16, private: int = 8, people: int = 6
) -> dict[str, int]:
    """MiB by stage."""
    made = parse(config)
    scheme = scheme_of(made.federation)
    classes = people if scheme.labelled else made.data.targets
    found = footprint(made, scheme, Sizes(people, made.data.targets, classes, public, private))
    return {name: size >> 20 for name, size in found.items()}


@pytest.mark.slow
def test_a_run_holds_no_more_and_not_much_less(tmp_path: Path, tiny_config: Config) -> None:
    """In a process of its own. With the paper's width two clients' networks are most of it."""
    config = tiny_config(image_size=32)
    for name in ("pli", "tbi"):
        config["attacks"][name]["settings"]["width"] = 1024
    write_json(tmp_path / "config.json", config)
    code = (
        "import json, logitleak, pathlib\n"
        f"config = json.loads(pathlib.Path({str(tmp_path / 'config.json')!r}).read_text())\n"
        f"logitleak.run(config, {str(tmp_path / 'run')!r})"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
    measured = read_json(tmp_path / "run" / "metrics.json")["resources"]["peak_memory_mib"]
    said = forecast_of(config)
    assert measured <= max(said.values()) <= 1.7 * measured
    assert max(said, key=said.__getitem__) in ("pli", "tbi")


def test_every_network_is_counted(tiny_config: Config) -> None:
    """Ten of the paper's inversion networks, with moments, for the outputs of 1,000 classes."""
    config = tiny_config(image_size=64, targets=200)
    config["federation"] |= {"clients": 10, "batch": 64}
    config["attacks"] = {"pli": {"attack": "pli"}, "ridge": {"attack": "ridge"}}
    said = forecast_of(config, 10_800, 2_500, 1_000)
    networks = 10 * 3 * forecast.weights(InversionNetwork(2_000, 64, 1_024)) >> 20
    assert networks < said["pli"] < 2 * networks
    assert said["ridge"] < said["pli"] / 2
    config["attacks"]["pli"] |= {"prior": "cyclegan"}
    assert forecast_of(config, 10_800, 2_500, 1_000)["pli"] > said["pli"]
    config["attacks"]["pli"] |= {"view": "sum", "prior": "mean"}
    assert forecast_of(config, 10_800, 2_500, 1_000)["pli"] < said["pli"] / 3


def test_the_plan_names_the_largest(tiny_config: Config) -> None:
    config = tiny_config(image_size=32)
    config["attacks"]["tbi"]["settings"]["width"] = 1024
    (line,) = (line for line in plan(parse(config)).lines() if line.startswith("memory"))
    assert " at most: tbi " in line


@pytest.mark.parametrize("prior", ["mean", "paired", "cyclegan", "deblurgan"])
@pytest.mark.parametrize("attack", ["pli", "tbi", "ridge", "gap"])
def test_every_attack_and_prior_says_something(attack: str, prior: str, tiny_config: Config) -> None:
    config = tiny_config(image_size=32)
    gamma = {"settings": {"gamma": 0.1}} if attack in ("pli", "ridge") else {}
    config["attacks"] = {"it": {"attack": attack, "prior": prior, **gamma}}
    assert 0 < forecast_of(config)["it"] < 10_000


def test_what_a_step_keeps() -> None:
    """Two linear layers with a ReLU between them keep their inputs; weights are not kept twice."""

    def make() -> nn.Module:
        return nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 5))

    weights = (10 * 20 + 20 + 20 * 5 + 5) * 4
    for network in (make(), forecast.bare(make)):
        assert forecast.weights(network) == weights
        assert forecast.step(network, 8, 10) == (8 * 10 + 8 * 20) * 4 * 3 // 2 + weights
        assert forecast.step(network, 80, 10) == 10 * (8 * 10 + 8 * 20) * 4 * 3 // 2 + weights
    assert torch.is_grad_enabled()


def test_models_are_gone_when_the_next_world_begins(
    tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, models = Simulation.__init__, []

    def watched(self: Simulation, *args: Any, **kwargs: Any) -> None:
        assert all(model() is None for model in models)
        begin(self, *args, **kwargs)
        models.extend(weakref.ref(model) for group in self.groups for model in group.bank.models)

    monkeypatch.setattr(Simulation, "__init__", watched)
    config = tiny_config(targets=4) | {"attacks": {}, "game": {"design": "twins"}}
    gc.disable()
    try:
        logitleak.run(config, tmp_path / "run")
    finally:
        gc.enable()
    assert len(models) == 4
    assert all(model() is None for model in models)


@pytest.mark.slow
def test_undoing_defenses_takes_memory(tiny_config: Callable[..., dict[str, Any]]) -> None:
    """Of attacks alone, and only where something is undone."""
    values = tiny_config() | {"attacks": {"ridge": {}, "naive": {"attack": "ridge", "uploads": "as-sent"}}}

    def needed(*defenses: str) -> dict[str, int]:
        return plan(parse(values | {"defenses": list(defenses)})).memory.stages

    none, hard, warm = needed(), needed("hard-label"), needed("temperature")
    assert none == hard
    assert warm["ridge"] > none["ridge"]
    assert {name: size for name, size in warm.items() if name != "ridge"} == {
        name: size for name, size in none.items() if name != "ridge"
    }
