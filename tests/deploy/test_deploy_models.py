"""Classifiers of one's own in a deployed federation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loopback import Loopback

import logitleak
from logitleak import config as configs
from logitleak.config import AttackConfig
from logitleak.deploy.config import flat, of_run, parse
from logitleak.deploy.folders import divide
from logitleak.deploy.server import serve
from logitleak.errors import UserError
from logitleak.stages.run import attack_run

Tiny = Callable[..., dict[str, Any]]

MINE = "own_model:counted"


def test_it_runs_as_a_simulation_does(four_clients: Tiny, tmp_path: Path) -> None:
    """Two clients have one of their own, with buffers of integers, which travel between messages."""
    values = four_clients("fedmd")
    values["federation"] |= {"models": [MINE, "cnn"], "server_model": MINE}
    config = configs.parse(values)
    divide(config, tmp_path / "data")
    deployed = parse(flat(of_run(config, tmp_path / "data", tmp_path / "run")))
    assert deployed.federation.models == [MINE, "cnn"]
    run = serve(deployed, lambda form: Loopback(deployed))
    simulated = logitleak.run(values, tmp_path / "simulated")
    name = "wire/round-02/upload.safetensors"
    assert (run.path / name).read_bytes() == (simulated.path / name).read_bytes()
    result = attack_run(run.path, "ridge", AttackConfig(attack="ridge"))
    assert result.metrics["federation"]["weights"] == simulated.metrics["federation"]["weights"]
    assert len(result.metrics["federation"]["weights"]) == 4


def test_what_no_average_can_be_made_of_is_refused(four_clients: Tiny, tmp_path: Path) -> None:
    """Batches that were counted: an average of whole numbers is none."""
    values = four_clients("fedavg")
    divide(configs.parse(values), tmp_path / "data")
    values["federation"] |= {"models": [MINE], "server_model": MINE}
    with pytest.raises(UserError, match="fedavg averages models, and .* holds what is no float"):
        logitleak.run(values, tmp_path / "simulated")
    deployed = of_run(configs.parse(values), tmp_path / "data", tmp_path / "run")
    with pytest.raises(UserError, match="fedavg averages models"):
        serve(deployed, lambda form: Loopback(deployed))
    assert not deployed.out.exists()
    assert not (tmp_path / "simulated").exists()


def test_a_module_that_is_not_here(four_clients: Tiny, tmp_path: Path) -> None:
    values = four_clients("fedmd")
    divide(configs.parse(values), tmp_path / "data")
    values["federation"]["models"] = ["no_such_module:make"]
    deployed = of_run(configs.parse(values), tmp_path / "data", tmp_path / "run")
    with pytest.raises(UserError, match="cannot be imported"):
        serve(deployed, lambda form: Loopback(deployed))
    assert not deployed.out.exists()
