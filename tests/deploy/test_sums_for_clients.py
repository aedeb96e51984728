"""A server that adds and never has a mean: clients open it, and one of them can say what it saw."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from loopback import Loopback, deployment

import logitleak
from logitleak import config as configs
from logitleak.cli.command import main
from logitleak.config import AttackConfig
from logitleak.deploy.config import DeployConfig, flat, of_run, parse
from logitleak.deploy.folders import read_facts
from logitleak.deploy.server import next_step, serve
from logitleak.deploy.sums.means import bring_in
from logitleak.errors import UserError
from logitleak.files.storage import read_tensors, write_tensors
from logitleak.stages.run import attack_run
from logitleak.types import Absence, Payload
from logitleak.wire.transcript import Transcript
from needs import require

require("tenseal")
require("cryptography")

Tiny = Callable[..., dict[str, Any]]

AGGREGATOR = {"kind": "ckks", "settings": {"server": "aggregator"}}


def summed(tiny: Tiny) -> dict[str, Any]:
    values = tiny("fedmd")
    values["federation"]["aggregation"] = AGGREGATOR
    return values


def means_of(config: DeployConfig, client: int) -> Path:
    (found,) = (config.client_data / f"client-{client}" / "means").iterdir()
    return found


def test_the_server_has_no_mean_and_a_client_has_what_a_simulation_records(
    four_clients: Tiny, tmp_path: Path
) -> None:
    values = summed(four_clients)
    config = deployment(values, tmp_path)
    run = serve(config, lambda form: Loopback(config))
    assert "never had a mean" in next_step(run)
    simulated = logitleak.run(values, tmp_path / "simulated").path
    means = [read_tensors(means_of(config, 0) / f"round-0{t}.safetensors")["mean"] for t in (1, 2)]
    for path in run.path.rglob("*.safetensors"):
        for value in read_tensors(path).values():
            assert not any(value.shape == mean.shape and torch.equal(value, mean) for mean in means)
    with pytest.raises(
        UserError, match="this server never had the mean, so there is nothing to attack"
    ) as why:
        attack_run(run.path, "gap", AttackConfig(attack="gap"))
    assert "\n" not in str(why.value)
    main(["deploy", "open", str(run.path), str(means_of(config, 3))])
    for path in sorted((simulated / "wire").rglob("*.safetensors")):
        found = read_tensors(run.path / "wire" / path.relative_to(simulated / "wire"))
        expected = read_tensors(path)
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected)
    manifest = (simulated / "wire" / "manifest.json").read_bytes()
    assert (run.path / "wire" / "manifest.json").read_bytes() == manifest
    metrics = attack_run(run.path, "gap", AttackConfig(attack="gap")).metrics
    assert metrics["threat_model"]["adversary"].startswith("An honest-but-curious client")


def test_a_client_has_all_means_or_there_are_none(four_clients: Tiny, tmp_path: Path) -> None:
    values = summed(four_clients)
    values["federation"]["participation"] = 0.75
    with pytest.raises(UserError, match="draws 3 of 4 clients, so that no client has all means"):
        deployment(values, tmp_path)


def test_who_sent_nothing_still_learns_from_the_mean(four_clients: Tiny, tmp_path: Path) -> None:
    def spoil(round: int, action: str, client: int, answer: Payload) -> Payload | Absence:
        return Absence("was late") if (round, action, client) == (1, "upload", 3) else answer

    config = deployment(summed(four_clients), tmp_path)
    run = serve(config, lambda form: Loopback(config, spoil))
    for client in (0, 3):
        assert (means_of(config, client) / "round-01.safetensors").is_file()
    bring_in(run.path, means_of(config, 3))
    view = Transcript(run.path)
    assert view.absent(1) == {"upload": {3: "was late"}}
    assert view.absent(2) == {}


def test_what_does_not_fit_is_not_brought_in(four_clients: Tiny, tmp_path: Path) -> None:
    config = deployment(summed(four_clients), tmp_path)
    run = serve(config, lambda form: Loopback(config))
    means = means_of(config, 1)
    with pytest.raises(UserError, match="does not exist"):
        bring_in(run.path, tmp_path / "nowhere")
    with pytest.raises(UserError, match="is no run folder"):
        bring_in(tmp_path / "nowhere", means)
    assert not (tmp_path / "nowhere").exists()
    other = tmp_path / "other"
    for t in (1, 2):
        mean = read_tensors(means / f"round-0{t}.safetensors")["mean"]
        write_tensors(other / f"round-0{t}.safetensors", {"mean": mean[:-1]})
    with pytest.raises(UserError, match="holds no mean of this federation"):
        bring_in(run.path, other)
    bring_in(run.path, means)
    bring_in(run.path, means)  # the same again is no change
    for t in (1, 2):
        write_tensors(other / f"round-0{t}.safetensors", {"mean": mean + 1})
    with pytest.raises(UserError, match="holds another mean already"):
        bring_in(run.path, other)
    plain = deployment(four_clients("fedmd"), tmp_path / "plain")
    serve(plain, lambda form: Loopback(plain))
    with pytest.raises(UserError, match="there is nothing to bring in"):
        bring_in(plain.out, means)


def test_the_server_cannot_make_itself_a_participant(four_clients: Tiny, tmp_path: Path) -> None:
    """Who agreed to a server that reads nothing refuses another, and a client opens no mean for this one."""
    config = deployment(summed(four_clients), tmp_path)
    facts = read_facts(config.client_data / "client-0")
    assert facts.aggregation == "ckks, server aggregator"
    table = flat(config) | {"aggregation": "ckks"}
    with pytest.raises(UserError, match="was divided for sums by ckks, server aggregator, and this is ckks"):
        serve(parse(table), lambda form: Loopback(parse(table)))


def test_learning_schemes_need_a_participant(four_clients: Tiny, tmp_path: Path) -> None:
    values = summed(four_clients)
    values["federation"] |= {"scheme": "dsfl", "settings": {}}
    with pytest.raises(UserError, match="learns from the mean, so it must get it"):
        flat(of_run(configs.parse(values), tmp_path, tmp_path / "run"))
