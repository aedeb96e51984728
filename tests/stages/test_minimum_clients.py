"""A client whose answer is no number: with a minimum of clients a simulation goes on without it, and says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import logitleak
from logitleak import registry
from logitleak.federation.bank import ModelBank
from logitleak.federation.channel import InProcessChannel
from logitleak.stages.verify import verify
from logitleak.types import Payload
from logitleak.wire.transcript import Transcript

Config = Callable[..., dict[str, Any]]
Federate = Callable[..., dict[str, Any]]


@pytest.fixture
def three(tiny_config: Config, people: Callable[..., Path], tmp_path: Path) -> Federate:
    """A factory of configurations with three clients."""
    root = people(tmp_path / "people", identities=6, images=6)

    def make(scheme: str = "fedmd", **federation: Any) -> dict[str, Any]:
        values = tiny_config(root, targets=3, held_out=0.2)
        settings = values["federation"]["settings"] if scheme == "fedmd" else {}
        values["federation"] |= {"scheme": scheme, "settings": settings, "clients": 3} | federation
        attack = "gradients" if scheme in ("fedavg", "feddf", "fedkd", "fedavg-gan") else "ridge"
        return values | {"attacks": {attack: {"settings": {"steps": 1} if attack == "gradients" else {}}}}

    return make


def garble(monkeypatch: pytest.MonkeyPatch, *clients: int) -> None:
    """Some clients send no numbers in round 1."""
    ask = InProcessChannel.ask

    def spoilt(self: InProcessChannel, action: str, round: int, message: Payload | None = None) -> Any:
        answers = dict(ask(self, action, round, message))
        for client in clients if round == 1 else ():
            tensors = {name: value * torch.nan for name, value in answers[client].tensors.items()}
            answers[client] = Payload(tensors, answers[client].scalars)
        return answers

    monkeypatch.setattr(InProcessChannel, "ask", spoilt)


@pytest.fixture
def garbled(monkeypatch: pytest.MonkeyPatch) -> None:
    garble(monkeypatch, 1)


@pytest.mark.parametrize("scheme", registry.names("scheme"))
@pytest.mark.usefixtures("garbled")
def test_it_goes_on_without_the_client_in_that_round(scheme: str, three: Federate, tmp_path: Path) -> None:
    run = logitleak.run(three(scheme, minimum_clients=2), tmp_path / "run")
    view = Transcript(run.path)
    carrier, tensor = view.manifest.uploads.action, view.manifest.uploads.tensor
    (reason,) = view.absent(1)[carrier].values()
    assert list(view.absent(1)) == [carrier]
    assert list(view.absent(1)[carrier]) == [1]
    assert reason.startswith(tensor)
    assert reason.endswith("holds NaN or infinite values")
    assert view.absent(2) == {}
    for t in (1, 2):
        assert bool(view.server_logits(t).isfinite().all())
        for action in ("digest", "distill", "train"):
            sent = view.sent(action, t)
            assert sent is None or all(bool(v.isfinite().all()) for v in sent.tensors.values())
    assert run.metrics["federation"]["absent"] == [
        {"round": 1, "action": carrier, "client": 1, "reason": reason}
    ]
    assert "Clients that were missing" in run.report.read_text()
    assert verify(run.path).findings.errors == 0


@pytest.mark.usefixtures("garbled")
@pytest.mark.parametrize("minimum", [{}, {"minimum_clients": 3}])
def test_where_all_are_needed_it_ends(three: Federate, tmp_path: Path, minimum: dict[str, int]) -> None:
    with pytest.raises(
        logitleak.UserError,
        match=r"2 of 3 clients answered upload in round 1 validly, and 3 are needed \(client 1: ",
    ) as caught:
        logitleak.run(three(**minimum), tmp_path / "run")
    assert "\n" not in str(caught.value)


def diverge(monkeypatch: pytest.MonkeyPatch, phase: str, round: int) -> None:
    """Client 1 forgets all numbers when it learns this."""
    fit = ModelBank.fit

    def poisoned(
        self: ModelBank, images: Any, targets: Any, loss: Any, epochs: int, purpose: Any, *rest: Any
    ) -> Any:
        if tuple(purpose) == (phase, round) and 1 in self.members:
            with torch.no_grad():
                next(self.models[self.members.index(1)].parameters()).fill_(torch.nan)
        return fit(self, images, targets, loss, epochs, purpose, *rest)

    monkeypatch.setattr(ModelBank, "fit", poisoned)


@pytest.mark.parametrize("worlds", [1, 2])
def test_a_client_that_diverges_for_good(
    worlds: int, three: Federate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    people: Callable[..., Path],
) -> None:  # fmt: skip
    diverge(monkeypatch, "revisit", 1)
    values = three(minimum_clients=1, rounds=3)
    if worlds == 2:
        values["data"] |= {"root": str(people(tmp_path / "more", identities=12, images=6)), "targets": 6}
        values["game"] = {"design": "twins"}
    run = logitleak.run(values, tmp_path / "run")
    home = run.path if worlds == 1 else run.path / "worlds" / "1"
    view = Transcript(home)
    assert [sorted(view.absent(t).get("upload", {})) for t in (1, 2, 3)] == [[], [1], [1]]
    assert all(bool(view.server_logits(t).isfinite().all()) for t in (1, 2, 3))
    losses = run.metrics["federation"]["losses"]
    assert {row["client"] for row in losses if row["round"] == 2} == {0, 2, None}
    clients = run.metrics["utility"]["clients"]
    assert clients[1] is None
    assert clients[0] is not None
    assert sum(run.metrics["confidence"]["client_private"]) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("scheme", "defense"), [("fedmd", "hard-label"), ("fedmd", "pate"), ("dsfl", "gaussian")]
)
def test_no_defense_makes_an_upload_of_a_client_that_diverged(
    scheme: str, defense: str, three: Federate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    diverge(monkeypatch, "revisit" if scheme == "fedmd" else "distill", 1)
    entry = {"name": defense, "settings": {"teachers": 2} if defense == "pate" else {}}
    run = logitleak.run(three(scheme, minimum_clients=1) | {"defenses": [entry]}, tmp_path / "run")
    absent = Transcript(run.path).absent(2)["upload"]
    assert list(absent) == [1]
    assert absent[1].endswith("holds NaN or infinite values")


def test_what_worlds_share_may_have_diverged(
    three: Federate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, people: Callable[..., Path]
) -> None:
    """Before round 1 all worlds learn the public set, and only the first one does so in fact."""
    diverge(monkeypatch, "transfer-public", 0)
    values = three(minimum_clients=2)
    values["data"] |= {"root": str(people(tmp_path / "more", identities=12, images=6)), "targets": 6}
    run = logitleak.run(values | {"game": {"design": "twins"}}, tmp_path / "run")
    for world in ("0", "1"):
        view = Transcript(run.path / "worlds" / world)
        assert [sorted(view.absent(t).get("upload", {})) for t in (1, 2)] == [[1], [1]]


def test_where_all_are_needed_a_loss_ends_it(
    three: Federate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    diverge(monkeypatch, "revisit", 1)
    with pytest.raises(logitleak.UserError, match="The loss of client 1 in round 1, revisit, is not finite"):
        logitleak.run(three(), tmp_path / "run")


def test_too_few_are_left(three: Federate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    garble(monkeypatch, 0, 2)
    with pytest.raises(
        logitleak.UserError, match="1 of 3 clients answered upload in round 1 validly, and 2 are needed"
    ):
        logitleak.run(three(minimum_clients=2), tmp_path / "run")
