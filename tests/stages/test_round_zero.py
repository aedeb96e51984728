"""What travels before round 1 is kept like everything else, and no message takes the place of another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import logitleak
from logitleak.files.storage import read_tensors
from logitleak.schemes.base import Channel, Server
from logitleak.schemes.fedmd import FedMD
from logitleak.stages import simulation
from logitleak.types import Payload
from logitleak.wire.transcript import Transcript

Config = Callable[..., dict[str, Any]]
ROUND_ZERO = Path("wire/round-00/upload.safetensors")


@pytest.fixture
def config(tiny_config: Config) -> dict[str, Any]:
    return tiny_config() | {"attacks": ["ridge"]}


@pytest.fixture
def talkative(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheme whose clients upload before the first round, too."""

    def begin(self: FedMD, channel: Channel, server: Server) -> None:
        channel.ask("transfer", 0)
        channel.ask("upload", 0)

    monkeypatch.setattr(FedMD, "begin", begin)


@pytest.mark.usefixtures("talkative")
def test_what_travels_in_round_zero_is_kept(config: dict[str, Any], tmp_path: Path) -> None:
    run = logitleak.run(config, tmp_path / "run").path
    assert set(read_tensors(run / ROUND_ZERO)) == {"client-0/logits", "client-1/logits"}
    assert not list((run / "wire").glob("*.partial"))
    assert Transcript(run).bytes_received(0)[0] > 0


@pytest.mark.usefixtures("talkative")
@pytest.mark.parametrize("stop", [0, 1])
def test_a_killed_run_keeps_it(
    config: dict[str, Any], stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = logitleak.run(config, tmp_path / "straight").path
    checkpoint = simulation.Simulation._checkpoint

    def killed(self: simulation.Simulation, round: int) -> None:
        checkpoint(self, round)
        if round == stop:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(simulation.Simulation, "_checkpoint", killed)
        with pytest.raises(KeyboardInterrupt):
            logitleak.run(config, tmp_path / "run")
    logitleak.run(config, tmp_path / "run")
    ours, theirs = (read_tensors(run / ROUND_ZERO) for run in (tmp_path / "run", straight))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_an_action_that_is_asked_twice_in_a_round(
    config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def serve(self: FedMD, round: int, channel: Channel, server: Server) -> None:
        uploads = channel.ask("upload", round)
        channel.ask("digest", round, Payload({"consensus": uploads[0].tensors["logits"]}))
        channel.ask("upload", round)

    monkeypatch.setattr(FedMD, "serve", serve)
    with pytest.raises(logitleak.UserError, match='"upload" comes twice in round 1.*another name') as caught:
        logitleak.run(config, tmp_path / "run")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["own", "../upload", "Up load", ""])
def test_an_action_that_has_no_file_of_its_own(
    name: str, config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FedMD, "actions", property(lambda self: {name: self.upload}))
    with pytest.raises(logitleak.UserError, match="An action of a scheme cannot be called"):
        logitleak.run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
