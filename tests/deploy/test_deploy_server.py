"""A deployed federation records what a simulation does, whatever carries the messages."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from loopback import Loopback, faithful

import logitleak
from logitleak import config as configs
from logitleak import registry
from logitleak.config import AttackConfig
from logitleak.deploy.config import DeployConfig, flat, of_run, parse
from logitleak.deploy.folders import divide
from logitleak.deploy.logs import without_traceback
from logitleak.deploy.server import serve
from logitleak.errors import UserError
from logitleak.federation.channel import InProcessChannel, TooFewClients
from logitleak.stages.run import attack_run
from logitleak.types import Absence, Payload
from logitleak.wire.transcript import Transcript

Tiny = Callable[..., dict[str, Any]]


def deployment(values: dict[str, Any], folder: Path, **changes: Any) -> DeployConfig:
    config = configs.parse(values)
    divide(config, folder / "data")
    return of_run(config, folder / "data", folder / "run").model_copy(update=changes)


@pytest.mark.parametrize("scheme", registry.names("scheme"))
def test_equals_the_simulation(scheme: str, four_clients: Tiny, tmp_path: Path) -> None:
    values = four_clients(scheme)
    if scheme == "fedmd":  # mixed models are dealt out alike
        values["federation"]["models"] = ["cnn", "mlp"]
    config = deployment(values, tmp_path)
    serve(config, lambda form: Loopback(config))
    logitleak.run(values, tmp_path / "simulated")
    for path in sorted((tmp_path / "simulated" / "wire").rglob("*")):
        twin = tmp_path / "run" / "wire" / path.relative_to(tmp_path / "simulated" / "wire")
        assert twin.is_dir() if path.is_dir() else twin.read_bytes() == path.read_bytes()
    assert not (tmp_path / "run" / "sealed").exists()


@pytest.mark.parametrize("scheme", ["fedmd", "fedkd"])
def test_equals_the_simulation_where_clients_are_drawn(
    scheme: str, four_clients: Tiny, tmp_path: Path
) -> None:
    values = four_clients(scheme)
    values["federation"] |= {"participation": 0.5, "rounds": 3}
    config = deployment(values, tmp_path)
    assert parse(flat(config)) == config
    serve(config, lambda form: Loopback(config))
    logitleak.run(values, tmp_path / "simulated")
    assert len(Transcript(tmp_path / "run").absent(3)) == (3 if scheme == "fedmd" else 2)
    for path in sorted((tmp_path / "simulated" / "wire").rglob("*.*")):
        twin = tmp_path / "run" / "wire" / path.relative_to(tmp_path / "simulated" / "wire")
        assert twin.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("scheme", registry.names("scheme"))
def test_equals_the_simulation_where_a_client_sends_no_numbers(
    scheme: str, four_clients: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(round: int, action: str, client: int, answer: Payload) -> Payload:
        if (round, client) != (1, 2):
            return answer
        return Payload({name: value * torch.inf for name, value in answer.tensors.items()}, answer.scalars)

    def spoilt(self: InProcessChannel, action: str, round: int, message: Payload | None = None) -> Any:
        return {k: spoil(round, action, k, answer) for k, answer in ask(self, action, round, message).items()}

    values = four_clients(scheme)
    values["federation"]["minimum_clients"] = 3
    config = deployment(values, tmp_path)
    assert (config.minimum_clients, config.federation.minimum_clients) == (3, None)
    assert parse(flat(config)) == config
    serve(config, lambda form: Loopback(config, spoil))
    ask = InProcessChannel.ask
    monkeypatch.setattr(InProcessChannel, "ask", spoilt)
    logitleak.run(values, tmp_path / "simulated")
    assert [list(said) for said in Transcript(tmp_path / "run").absent(1).values()] == [[2]]
    for path in sorted((tmp_path / "simulated" / "wire").rglob("*.*")):
        twin = tmp_path / "run" / "wire" / path.relative_to(tmp_path / "simulated" / "wire")
        assert twin.read_bytes() == path.read_bytes()


def test_attacks_and_scores(four_clients: Tiny, tmp_path: Path) -> None:
    """A server can attack what it recorded; scores come when the truth is copied in, and are a simulation's."""
    values = four_clients("fedmd")
    config = deployment(values, tmp_path)
    run = serve(config, lambda form: Loopback(config))
    entry = AttackConfig(attack="ridge")
    blind = attack_run(run.path, "ridge", entry)
    assert "accuracy" not in blind.metrics["attacks"]["ridge"]
    shutil.copytree(tmp_path / "data" / "sealed", run.sealed)
    scored = attack_run(run.path, "ridge", entry).metrics
    simulated = logitleak.run(values | {"attacks": ["ridge"]}, tmp_path / "simulated").metrics
    assert scored["attacks"]["ridge"] == simulated["attacks"]["ridge"]
    assert scored["federation"]["bytes"] == simulated["federation"]["bytes"]
    assert scored["utility"] is None


def identity(run: Path) -> dict[str, Any]:
    found = logitleak.audit(run, fast=True, device="cpu").found["audits"]
    return {
        k: v for k, v in next(one for one in found if one["audit"] == "identity").items() if k != "seconds"
    }


@pytest.mark.parametrize("missing", [False, True])
def test_its_audit_is_that_of_the_simulation(
    missing: bool, four_clients: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the truth it writes the same scores; with it the same panel. Sums are subtracted where a client was
    away."""

    def spoil(round: int, action: str, client: int, answer: Payload) -> Payload | Absence:
        gone = missing and (round, client, action) == (1, 2, "upload")
        return Absence("did not answer within 5 s") if gone else answer

    def spoilt(self: InProcessChannel, action: str, round: int, message: Payload | None = None) -> Any:
        return {k: spoil(round, action, k, answer) for k, answer in ask(self, action, round, message).items()}

    values = four_clients("fedmd")
    values["federation"]["minimum_clients"] = 3
    config = deployment(values, tmp_path)
    run = serve(config, lambda form: Loopback(config, spoil)).path
    ask = InProcessChannel.ask
    monkeypatch.setattr(InProcessChannel, "ask", spoilt)
    simulated = logitleak.run(values, tmp_path / "simulated").path
    blind, expected = identity(run), identity(simulated)
    found, kept = (np.load(path / "audit" / "scores.npz") for path in (run, simulated))
    for name in (name for name in kept if name.startswith("identity/")):
        np.testing.assert_array_equal(found[name], kept[name])
    assert "clients" not in blind["views"][0]["variants"][0]
    shutil.copytree(simulated / "sealed", run / "sealed")
    assert identity(run) == expected
    differences = next(one for one in expected["views"] if one["onlooker"] == "sums, differences")
    assert (differences["refused"] is None) == missing


def test_who_was_missing_is_in_metrics_and_report(four_clients: Tiny, tmp_path: Path) -> None:
    config = deployment(four_clients("fedmd"), tmp_path)

    def spoil(round: int, action: str, client: int, answer: Payload) -> Payload | Absence:
        return Absence("<b>gone</b>") if (client, round) == (2, 1) and action != "revisit" else answer

    run = serve(config, lambda form: Loopback(config, spoil))
    result = attack_run(run.path, "ridge", AttackConfig(attack="ridge"))
    missing = result.metrics["federation"]["absent"]
    assert missing == [
        {"round": 1, "action": action, "client": 2, "reason": "<b>gone</b>"}
        for action in ("digest", "upload")
    ]
    page = result.report.read_text()
    assert "Clients that were missing" in page
    assert "&lt;b&gt;gone&lt;/b&gt;" in page
    assert "<b>gone</b>" not in page


def test_bytes_beside_fedavg(four_clients: Tiny, tmp_path: Path) -> None:
    """16x16 CNN with 8 classes: what FedAvg's clients would send is what its own transcript says they sent."""
    metrics = {}
    for scheme in ("fedmd", "fedavg"):
        config = deployment(four_clients(scheme), tmp_path / scheme)
        run = serve(config, lambda form, config=config: Loopback(config))  # type: ignore[misc]
        attack = "ridge" if scheme == "fedmd" else "gradients"
        entry = AttackConfig(attack=attack, settings={} if scheme == "fedmd" else {"steps": 1})
        result = attack_run(run.path, attack, entry)
        metrics[scheme] = result.metrics["federation"]
        page = result.report.read_text()
        assert "With FedAvg the clients would have sent" in page
        assert "Clients that were missing" not in page
    view = Transcript(tmp_path / "fedmd" / "run")
    upload = len(view.knowledge.public) * 8 * 4
    assert metrics["fedmd"]["bytes"][0] == {"round": 1, "client": 0, "received": upload, "sent": upload}
    weights = metrics["fedmd"]["weights"]
    assert weights == metrics["fedavg"]["weights"]
    assert [row["received"] for row in metrics["fedavg"]["bytes"]] == weights * 2
    assert [row["sent"] for row in metrics["fedavg"]["bytes"]] == weights * 2


def test_too_few_clients_end_it_and_leave_what_can_be_attacked(four_clients: Tiny, tmp_path: Path) -> None:
    config = deployment(four_clients("dsfl"), tmp_path, minimum_clients=3)

    def spoil(round: int, action: str, client: int, answer: Payload) -> Payload | Absence:
        return Absence("was killed") if round == 2 and client < 2 else answer

    with pytest.raises(TooFewClients, match="ends after round 1; what is recorded in .* can be attacked"):
        serve(config, lambda form: Loopback(config, spoil))
    status = json.loads((config.out / "run.json").read_text())
    assert status["federated"] is True
    assert status["ended"]["after_round"] == 1
    assert "client 0: was killed" in status["ended"]["reason"]
    assert Transcript(config.out).rounds == 1
    result = attack_run(config.out, "ridge", AttackConfig(attack="ridge"))
    assert list(result.metrics["attacks"]) == ["ridge"]
    assert result.metrics["federation"]["ended"] == status["ended"]
    assert "The federation ended early" in result.report.read_text()


def test_a_server_that_is_stopped_keeps_whole_rounds(four_clients: Tiny, tmp_path: Path) -> None:
    config = deployment(four_clients("dsfl"), tmp_path)

    def spoil(round: int, action: str, client: int, answer: Payload) -> Payload | Absence:
        if round == 2:
            raise KeyboardInterrupt
        return answer

    with pytest.raises(KeyboardInterrupt):
        serve(config, lambda form: Loopback(config, spoil))
    assert Transcript(config.out).rounds == 1


def test_too_few_clients_at_once(four_clients: Tiny, tmp_path: Path) -> None:
    config = deployment(four_clients("dsfl"), tmp_path, minimum_clients=1)
    with pytest.raises(TooFewClients, match="No round was finished"):
        serve(config, lambda form: Loopback(config, lambda t, a, k, p: Absence("is not connected")))
    with pytest.raises(UserError, match="no transcript|lacks round"):
        attack_run(config.out, "ridge", AttackConfig(attack="ridge"))


def test_a_run_folder_in_use(four_clients: Tiny, tmp_path: Path) -> None:
    config = deployment(four_clients("dsfl"), tmp_path)
    config.out.mkdir()
    (config.out / "precious").write_text("mine")
    with pytest.raises(UserError, match="not empty; set out to another folder"):
        serve(config, lambda form: Loopback(config, faithful))
    assert (config.out / "precious").read_text() == "mine"


def test_data_of_another_scheme_or_number(four_clients: Tiny, tmp_path: Path) -> None:
    config = deployment(four_clients("dsfl"), tmp_path)
    other = config.federation.model_copy(update={"scheme": "fedmd", "settings": {}})
    with pytest.raises(UserError, match="divided for dsfl with 4 clients, and this is fedmd with 4"):
        serve(config.model_copy(update={"federation": other}), lambda form: Loopback(config))
    fewer = config.federation.model_copy(update={"clients": 3})
    with pytest.raises(UserError, match="divided for dsfl with 4 clients, and this is dsfl with 3"):
        serve(config.model_copy(update={"federation": fewer}), lambda form: Loopback(config))
    assert not config.out.exists()


def test_ridge_gives_the_same_result(four_clients: Tiny, tmp_path: Path) -> None:
    values = four_clients("fedgems")
    config = deployment(values, tmp_path)
    serve(config, lambda form: Loopback(config))
    logitleak.run(values, tmp_path / "simulated")
    found = [logitleak.attack(tmp_path / name, "ridge") for name in ("run", "simulated")]
    assert torch.equal(found[0].images, found[1].images)


def test_a_mistake_is_one_line_in_flowers_log() -> None:
    for error, kept in ((UserError("line"), False), (KeyError("bug"), True)):
        record = logging.LogRecord("flwr", 40, "", 0, "app raised", (), (type(error), error, None))
        assert without_traceback(record)
        assert bool(record.exc_info) == kept
