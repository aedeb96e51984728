"""What `validate` foretells of the time: the images that are learnt from are those that a run shows its models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from logitleak import config as configs
from logitleak import registry
from logitleak.data.split import prepare
from logitleak.federation.bank import ModelBank
from logitleak.progress import Quiet
from logitleak.schemes.mutual import teach
from logitleak.stages.banks import scheme_of
from logitleak.stages.check import check
from logitleak.stages.federate import federate
from logitleak.stages.folder import RunFolder
from logitleak.stages.pace import foretell, images_learnt, median_step, pace_of
from logitleak.stages.plan import plan
from logitleak.types import ClientData

Config = Callable[..., dict[str, Any]]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each epoch of each model showed, as it really trained."""
    seen: list[int] = []
    epoch = ModelBank.epoch

    def counted(self: ModelBank, k: int, images: Tensor, *rest: Any) -> float:
        if self.members != ["participant"]:  # of what is no client's, forecasts know nothing
            seen.append(len(images))
        return epoch(self, k, images, *rest)

    def taught(bank: ModelBank, k: int, mentor: Any, data: ClientData, epochs: int, *rest: Any) -> None:
        seen.append(epochs * len(data))
        teach(bank, k, mentor, data, epochs, *rest)

    monkeypatch.setattr("logitleak.schemes.fedkd.teach", taught)
    monkeypatch.setattr(ModelBank, "epoch", counted)
    return seen


@pytest.mark.parametrize("game", [{"design": "none"}, {"design": "twins"}, {"design": "twins", "worlds": 4}])
@pytest.mark.parametrize("clients", [1, 2])
@pytest.mark.parametrize("scheme", registry.names("scheme"))
def test_images_learnt_are_those_that_are_shown(
    tiny_config: Config, scheme: str, clients: int, game: dict[str, Any], tmp_path: Path, shown: list[int]
) -> None:
    values = tiny_config(targets=4) | {"attacks": [], "game": game}
    values["federation"] = {"clients": clients, "rounds": 2, "scheme": scheme, "batch": 4}
    config = configs.parse(values)
    split = prepare(config.data, clients, config.seed).split
    foretold = images_learnt(
        config,
        scheme_of(config.federation).planned_epochs(clients, 2),
        len(split.public),
        len(split.truth.labels),
    )
    federate(config, RunFolder(tmp_path / "run"), Quiet())
    assert foretold == sum(shown)


def test_decoys_withhold_a_share(tiny_config: Config) -> None:
    config = configs.parse(tiny_config() | {"game": {"design": "decoys", "share": 0.25}})
    epochs = scheme_of(config.federation).planned_epochs(2, 1)
    alone = config.model_copy(update={"game": config.game.model_copy(update={"design": "none"})})
    private = epochs.private * 100 / 2
    assert images_learnt(alone, epochs, 50, 100) - images_learnt(config, epochs, 50, 100) == 0.25 * private


def test_the_first_steps_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock:
        now = 0.0

    class Slow:
        """A bank whose first three steps take a hundred times as long."""

        steps = 0

        def fit(self, images: Sequence[Tensor], *_: Any) -> None:
            self.steps += 1
            Clock.now += 1.0 if self.steps <= 3 else 0.01

    monkeypatch.setattr("logitleak.stages.pace.time.perf_counter", lambda: Clock.now)
    bank: Any = Slow()
    assert median_step(bank, torch.zeros(2), torch.zeros(2)) == pytest.approx(0.01)
    assert bank.steps >= 6


def test_slow_steps_are_not_waited_for(tiny_config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a run, of a model whose every step takes seconds, the first one has to do."""

    class Clock:
        now = 0.0

    steps = []

    def slow(bank: ModelBank, images: Sequence[Tensor], *_: Any) -> None:
        if len(images[0]) > 2:  # a whole batch
            steps.append(bank.architecture)
            Clock.now += 2.5

    monkeypatch.setattr("logitleak.stages.pace.time.perf_counter", lambda: Clock.now)
    monkeypatch.setattr(ModelBank, "fit", slow)
    config = configs.parse(tiny_config())
    found = check(config)
    assert foretell(config, found, pace_of(config, found, hurry=True)) > 20
    assert steps == ["cnn"]
    steps.clear()
    pace_of(config, check(config))
    assert len(steps) == 6


def test_every_architecture_is_timed(tiny_config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    values = tiny_config()
    values["federation"] = {**values["federation"], "clients": 2, "models": ["cnn", "mlp", "cnn"]}
    timed: list[str] = []

    def noted(bank: ModelBank, *_: Any) -> float:
        timed.append(bank.architecture)
        return 1.0

    monkeypatch.setattr("logitleak.stages.pace.median_step", noted)
    assert any(line.startswith("time") for line in plan(configs.parse(values)).lines())
    assert timed == ["cnn", "mlp"]
