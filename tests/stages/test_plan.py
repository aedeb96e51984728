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
from logitleak.defenses import dp_sgd
from logitleak.federation.bank import ModelBank
from logitleak.federation.draws import planned
from logitleak.progress import Quiet
from logitleak.schemes.mutual import teach
from logitleak.stages.banks import scheme_of
from logitleak.stages.check import check
from logitleak.stages.federate import federate
from logitleak.stages.folder import RunFolder
from logitleak.stages.pace import Pace, foretell, images_learnt, median_step, pace_of
from logitleak.stages.plan import plan
from logitleak.types import ClientData
from quick_schemes import quick

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
    values["federation"] = {
        "clients": clients, "rounds": 2, "scheme": scheme, "batch": 4, "settings": quick(scheme),
    }  # fmt: skip
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


@pytest.mark.parametrize("scheme", registry.names("scheme"))
def test_who_is_not_drawn_learns_nothing(
    tiny_config: Config, scheme: str, tmp_path: Path, shown: list[int]
) -> None:
    """Four clients that hold one image each, so that it does not matter which of them are drawn."""
    values = tiny_config(targets=4, max_images=2) | {"attacks": []}
    values["federation"] = {
        "clients": 4, "rounds": 3, "scheme": scheme, "batch": 4, "settings": quick(scheme), "participation": 0.5,
    }  # fmt: skip
    config = configs.parse(values)
    split = prepare(config.data, 4, config.seed).split
    epochs = planned(scheme_of(config.federation), 4, 3, 2)
    foretold = images_learnt(config, epochs, len(split.public), len(split.truth.labels))
    federate(config, RunFolder(tmp_path / "run"), Quiet())
    assert len(split.truth.labels) == 4
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


def private(tiny_config: Config, **entry: Any) -> configs.Config:
    values = tiny_config(targets=4)
    values["federation"] = {**values["federation"], "clients": 2, "models": ["mlp"], "batch": 4}
    return configs.parse(values | {"defenses": [{"name": "dp-sgd", **entry}]})


def test_steps_of_a_defense_are_timed_as_it_makes_them(
    tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Private steps take as long as they take; how long its noise is looked for is not asked."""

    def refuse(*_: Any) -> float:
        raise AssertionError("nobody asked for the noise")

    taken = {"backward": 0.0}
    clipped = dp_sgd.clipped_sum

    def slow(*arguments: Any) -> list[Tensor]:
        taken["backward"] += 2.0
        return clipped(*arguments)

    monkeypatch.setattr(dp_sgd, "noise_for", refuse)
    monkeypatch.setattr(dp_sgd, "clipped_sum", slow)
    monkeypatch.setattr("logitleak.defenses.dp_sgd.check_opacus", lambda: None)
    monkeypatch.setattr("logitleak.stages.pace.time.perf_counter", lambda: taken["backward"])
    for clients, share in (("all", 1.0), ([1], 0.5)):
        config = private(tiny_config, clients=clients)
        assert pace_of(config, check(config), hurry=True) == Pace(0.0, 0.0, share * 2.0 / 4)


def test_only_private_images_take_longer(tiny_config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logitleak.defenses.dp_sgd.check_opacus", lambda: None)
    config = private(tiny_config)
    found = check(config)
    epochs = found.scheme.planned_epochs(2, config.federation.rounds)
    more = foretell(config, found, Pace(1.0, 0.0, 0.5)) - foretell(config, found, Pace(1.0, 0.0))
    shown = images_learnt(config, epochs, 0, found.sizes.private)
    assert more == pytest.approx(0.5 * shown)


def test_other_training_defenses_take_no_steps_of_their_own(tiny_config: Config) -> None:
    config = configs.parse(tiny_config() | {"defenses": [{"name": "mixup"}]})
    assert pace_of(config, check(config), hurry=True).led == 0.0


def test_a_participant_takes_its_time_in_every_world_and_round(
    tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = tiny_config(targets=4) | {"game": {"design": "twins"}, "attacks": []}
    values["federation"] = {"clients": 2, "rounds": 3, "scheme": "fedavg-gan", "batch": 4}
    config = configs.parse(values)
    found = check(config)
    assert foretell(config, found, Pace(0.0, 0.0, outside=1.5)) == 2 * 3 * 1.5
    monkeypatch.setattr("logitleak.stages.pace.median_step", lambda *_: 0.0)
    monkeypatch.setattr("logitleak.stages.pace.seconds_of", lambda piece, patience: 0.25)
    assert pace_of(config, found).outside == pytest.approx(0.25 * 2 * 100 / 3)  # it warms up for a round
