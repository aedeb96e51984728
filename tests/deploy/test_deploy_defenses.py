"""Defenses of clients in a deployed federation: what leaves them, and who is told what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from loopback import Loopback
from torch import Tensor

import logitleak
from beside import Beside
from logitleak import config as configs
from logitleak import registry
from logitleak.config import AttackConfig
from logitleak.defenses.base import Defense
from logitleak.defenses.draws import System
from logitleak.defenses.training import Schedule, TrainingDefense
from logitleak.deploy.client import Client
from logitleak.deploy.config import DeployConfig, flat, of_run, parse
from logitleak.deploy.folders import client_folder, divide, fingerprint, read_public
from logitleak.deploy.server import serve
from logitleak.errors import UserError
from logitleak.federation.bank import ModelBank, Optimization
from logitleak.federation.trainer import Trainer
from logitleak.files.storage import read_tensors
from logitleak.stages.run import attack_run
from logitleak.stages.verify import verify
from logitleak.types import ClientData, Payload
from needs import require

Tiny = Callable[..., dict[str, Any]]


def draws(name: str) -> bool:
    """Whether a defense is random, which is seen by what leaves it twice."""
    cls = registry.load("defense", name)
    made: Defense = cls(cls.Settings(), "logits", System())
    if isinstance(made, TrainingDefense):
        first, *others = (learnt(made) for _ in range(5))  # a part of few images may be drawn twice
        return any(not torch.equal(first, other) for other in others)
    values = torch.randn(30, 5, generator=torch.Generator().manual_seed(0))
    if made.company is not None:
        made.inside = Beside(values.expand(made.company.models, -1, -1))
    return not torch.equal(*(made.on_upload(values, torch.arange(30), 1) for _ in range(2)))


def learnt(made: TrainingDefense) -> Tensor:
    """What one client says after private training with a defense."""
    made.schedule = Schedule(epochs=10, batch=4)
    made.load_state({})
    bank = ModelBank("cnn", (16, 16), 3, [0], Optimization(1e-3, 0.0, 4), seed=0)
    images = torch.randint(256, (9, 3, 16, 16), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    Trainer([made]).fit(
        bank, ClientData(images, torch.arange(9) % 3), 1, "learn", 1, lambda epoch, loss: None
    )
    return bank.predict(images)


def deployment(values: dict[str, Any], folder: Path) -> DeployConfig:
    config = configs.parse(values)
    divide(config, folder / "data")
    return parse(flat(of_run(config, folder / "data", folder / "run")))


@pytest.mark.parametrize("scheme", ["fedmd", "dsfl", "fedgems"])
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name == "dp-sgd" else [])
        for name in registry.names("defense")
    ],
)
def test_equals_the_simulation_where_nothing_is_drawn(
    name: str, scheme: str, four_clients: Tiny, tmp_path: Path
) -> None:
    """With chance a deployment is as valid, and no two are alike."""
    if name == "dp-sgd":
        require("opacus")
    entry = {"name": name, "clients": [0, 2]}
    values = four_clients(scheme) | {"defenses": [entry]}
    config = deployment(values, tmp_path)
    run = serve(config, lambda form: Loopback(config))
    simulated = logitleak.run(values, tmp_path / "simulated")
    for path in ("manifest.json", "round-01/upload.safetensors", "round-02/upload.safetensors"):
        same = (run.path / "wire" / path).read_bytes() == (simulated.path / "wire" / path).read_bytes()
        assert same or (path != "manifest.json" and draws(name))
    if draws(name):
        first, second = (
            read_tensors(each.path / "wire/round-01/upload.safetensors") for each in (run, simulated)
        )
        key = "probabilities" if scheme == "dsfl" else "logits"
        changed = [not torch.equal(first[f"client-{k}/{key}"], second[f"client-{k}/{key}"]) for k in range(4)]
        assert [changed[1], changed[3]] == [False, False]
        assert (changed[0] and changed[2]) or name == "nfdp"  # which may draw the same one of two
    assert not any("was to use the defense" in line for line in verify(run.path).findings.lines())


def test_the_report_says_which(four_clients: Tiny, tmp_path: Path) -> None:
    values = four_clients("fedmd") | {"defenses": ["round", {"name": "gaussian", "clients": [1]}]}
    config = deployment(values, tmp_path)
    run = serve(config, lambda form: Loopback(config))
    result = attack_run(run.path, "ridge", AttackConfig(attack="ridge"))
    sees = " ".join(result.metrics["threat_model"]["sees"])
    assert "All clients change their outputs first (round)" in sees
    assert "Client 1 changes its outputs first (gaussian)" in sees
    assert result.metrics["config"]["defenses"][1]["clients"] == [1]


def test_what_training_keeps_goes_on_with_the_client(four_clients: Tiny, tmp_path: Path) -> None:
    """A client is made anew for every message: it learns from the same part each time, and from no more epochs than its
    noise is for."""
    require("opacus")
    defenses = [{"name": "dp-sgd", "clients": [0]}, {"name": "nfdp", "clients": [1]}]
    config = deployment(four_clients("fedmd") | {"defenses": defenses}, tmp_path)
    loop = Loopback(config)
    serve(config, lambda form: loop)
    planned = loop._kept[0]["trainer/0/steps"]
    order = loop._kept[1]["trainer/0/order"]
    assert sorted(order.tolist()) == list(range(len(order)))
    with pytest.raises(UserError, match="for which its ε was computed; it does not"):
        loop.ask("revisit", 3)
    assert torch.equal(loop._kept[0]["trainer/0/steps"], planned)
    client = Client(config, client_folder(config.client_data, 1), 1)
    _, state = client.answer("revisit", 3, Payload(), loop._kept[1])
    assert torch.equal(state["trainer/0/order"], order)
    assert not any(name.startswith("trainer/") for name in loop._kept[2])


def test_the_table_is_what_it_was_without_defenses(four_clients: Tiny, tmp_path: Path) -> None:
    table = flat(of_run(configs.parse(four_clients("fedmd")), tmp_path, tmp_path))
    assert "defenses" not in table
    assert parse(table).defenses == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("round", "must be a JSON list such as"),
        ('["rond"]', 'Did you mean "round"'),
        ('[{"name": "round", "settings": {"digits": 0}}]', "greater than or equal to 1"),
        ('[{"name": "round", "clients": [4]}]', "is for client 4, and clients are 0 to 3"),
        (3, "must be a JSON list such as"),
        ('{"name": "round"}', "must be a JSON list such as"),
    ],
)
def test_mistakes_in_the_table(given: Any, said: str, four_clients: Tiny, tmp_path: Path) -> None:
    table = flat(of_run(configs.parse(four_clients("fedmd")), tmp_path, tmp_path)) | {"defenses": given}
    with pytest.raises(UserError) as caught:
        parse(table)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_node_adds_its_own(four_clients: Tiny, tmp_path: Path) -> None:
    """They act last, and stay with the node."""
    table = flat(of_run(configs.parse(four_clients("fedmd")), tmp_path, tmp_path))
    node = {"partition-id": 1, "defenses": '["hard-label"]'}
    assert [entry.name for entry in parse(table, node).defenses] == ["hard-label"]
    table |= {"defenses": '["round"]'}
    assert [entry.name for entry in parse(table, node).defenses] == ["round", "hard-label"]
    assert [entry.name for entry in parse(table).defenses] == ["round"]
    with pytest.raises(UserError, match='Did you mean "round"'):
        parse(table, {"defenses": '["rond"]'})


@pytest.mark.flower
def test_a_flower_client_sends_what_a_simulated_one_does(
    four_clients: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The handlers of the client app, without a network around them."""
    app = require("flwr.app")
    from logitleak.deploy import flower, records

    monkeypatch.setattr(flower, "Message", lambda content, reply_to: SimpleNamespace(content=content))
    values = four_clients("dsfl") | {"defenses": ["temperature", "top-k"]}
    config = configs.parse(values)
    divide(config, tmp_path / "data")
    table = flat(of_run(config, tmp_path / "data", tmp_path / "run"))
    public = fingerprint(read_public(client_folder(tmp_path / "data", 1)))
    context = SimpleNamespace(run_config=table, node_config={"partition-id": 1}, state=app.RecordDict())
    for action in ("learn", "upload"):
        message = SimpleNamespace(content=records.to_records(flower.Payload(), 1, public))
        reply = flower._action(action)(message, context)  # type: ignore[arg-type]
    sent = records.read_tensors(reply.content.array_records["tensors"])["probabilities"]
    simulated = logitleak.run(values, tmp_path / "simulated")
    upload = read_tensors(simulated.path / "wire/round-01/upload.safetensors")
    assert torch.equal(sent, upload["client-1/probabilities"])
