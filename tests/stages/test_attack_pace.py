"""What `validate` foretells of attacks: how often each piece of their work is done, at the seconds that one takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from logitleak import config as configs
from logitleak import registry
from logitleak.attacks.base import Attack, create
from logitleak.attacks.gap import Gap
from logitleak.attacks.inversion import NetworkInversion
from logitleak.attacks.ridge import Ridge
from logitleak.machine.forecast import Scale, Work
from logitleak.stages.attack_pace import AttackTime, foretell_attacks, in_all
from logitleak.stages.check import check
from logitleak.stages.pace import TRIES, Pace, foretell, seconds_of
from logitleak.stages.plan import plan

Config = Callable[..., dict[str, Any]]
FREE = Pace(0.0, 0.0)
SCALE = Scale(
    public=300, sensitive=120, side=32, classes=12, clients=3, rounds=4, targets=5, people=12, model=1000
)


class Clock:
    """A clock that stands still but for what is said to take time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr("logitleak.stages.pace.time.perf_counter", lambda: self.now)

    def spend(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def asked(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, list[int]]]:
    """Attacks that take a second for each client after each round; what they were asked about."""
    heard: list[tuple[int, list[int]]] = []

    def work(self: Attack, scale: Scale, rounds: Sequence[int]) -> list[Work]:
        heard.append((scale.clients, list(rounds)))
        return [Work("piece", lambda: clock.spend(1.0), scale.clients * len(rounds))]

    for kind in (Gap, Ridge, NetworkInversion):
        monkeypatch.setattr(kind, "work", work)
    return heard


def told(values: dict[str, Any], pace: Pace = FREE) -> dict[str, AttackTime]:
    config = configs.parse(values)
    return foretell_attacks(config, check(config), pace)


def attacked(
    tiny_config: Config, attacks: Any, clients: int = 3, rounds: int = 2, **more: Any
) -> dict[str, Any]:
    values = tiny_config(targets=4) | {"attacks": attacks, "game": {"design": "none"}} | more
    values["federation"] = {**values["federation"], "clients": clients, "rounds": rounds}
    return values


def plain(name: str) -> dict[str, Any]:
    return {name: {"attack": name, "tune": "none"}}


def test_rounds_clients_worlds_and_the_control_are_counted(
    tiny_config: Config, asked: list[tuple[int, list[int]]]
) -> None:
    # the control is one client more, and there is none in twin worlds
    assert told(attacked(tiny_config, plain("tbi")))["tbi"].seconds == 3 * 2 + 2
    assert (3, [1, 2]) in asked
    for worlds in (2, 4):
        twins = {"design": "twins", "worlds": worlds}
        values = attacked(tiny_config, plain("tbi"), clients=2, game=twins)
        assert told(values)["tbi"].seconds == worlds * 2 * 2


def test_a_sum_is_one_client(tiny_config: Config, asked: list[tuple[int, list[int]]]) -> None:
    attacks = {"tbi": {"attack": "tbi", "tune": "none", "view": "sum"}}
    assert told(attacked(tiny_config, attacks))["tbi"].seconds == 2 + 2
    assert {clients for clients, _ in asked} == {1}


def test_what_tuning_tries_is_counted(tiny_config: Config, asked: list[tuple[int, list[int]]]) -> None:
    """One that looks back is tried on the last round of each mock twin."""
    attacks = {"ridge": {"attack": "ridge", "tune": "public"}}
    found = told(attacked(tiny_config, attacks, clients=1, rounds=2))["ridge"]
    tried = 4 * 3 + 3 + 3
    assert asked.count((1, [2])) == tried
    assert found.seconds == 2 + 2 + 2 * tried  # the replay, its control, two twins
    given = {
        "ridge": {
            "attack": "ridge",
            "tune": "public",
            "settings": {"tau": 3, "lam": 1, "gamma": 0, "contrast": 1},
        }
    }
    assert told(attacked(tiny_config, given, clients=1, rounds=2))["ridge"].seconds == 2 + 2


def test_mock_twins_are_played_once(tiny_config: Config, asked: list[tuple[int, list[int]]]) -> None:
    attacks = {name: {"attack": "ridge", "tune": "public"} for name in ("first", "second")}
    values = attacked(tiny_config, attacks)
    free, slow = told(values), told(values, Pace(1.0, 0.0))
    config = configs.parse(values)
    assert slow["second"] == free["second"]
    more = (slow["first"].seconds or 0) - (free["first"].seconds or 0)
    assert 0 < more < 2 * foretell(config, check(config), Pace(1.0, 0.0))
    assert told(attacked(tiny_config, plain("ridge")), Pace(1.0, 0.0)) == told(
        attacked(tiny_config, plain("ridge"))
    )


def test_one_that_says_nothing_is_not_forecast(
    tiny_config: Config, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NetworkInversion, "work", Attack.work)
    found = told(attacked(tiny_config, plain("tbi")))
    assert found["tbi"].seconds is None
    assert "not forecast" in found["tbi"].said
    assert in_all(found) == ""
    both = found | {"gap": AttackTime(50.0, ("what the prior paired learns",))}
    assert in_all(both) == ", its attacks about 50 s without what the prior paired learns, tbi"
    assert in_all({}) == ""


def test_the_first_time_is_left_out(clock: Clock) -> None:
    done = []

    def once() -> None:
        done.append(1)
        clock.spend(100.0 if len(done) == 1 else 0.25)

    assert seconds_of(Work("piece", once, 1), 1000.0) == 0.25
    assert len(done) == 1 + TRIES
    done.clear()
    assert seconds_of(Work("piece", once, 1), 1.0) == 0.25
    assert len(done) == 2  # nobody waits for more of them


def test_a_plan_tells_every_attack(tiny_config: Config, asked: list[tuple[int, list[int]]]) -> None:
    found = plan(configs.parse(attacked(tiny_config, plain("tbi") | plain("gap"))))
    assert list(found.attack_seconds) == ["tbi", "gap"]
    lines = list(found.lines())
    assert any(line.strip() == "tbi about 8 s" for line in lines)


@pytest.mark.parametrize("name", ["tbi", "pli"])
def test_steps_are_those_of_a_round(name: str) -> None:
    made: Any = create(name, {"epochs": 2, "batch": 8, "width": 16})
    rows = SCALE.public if made.rows == "all" else SCALE.sensitive
    public = SimpleNamespace(rows=lambda which: torch.arange(rows))
    view: Any = SimpleNamespace(clients=SCALE.clients, knowledge=SimpleNamespace(public=public))
    steps = {piece.name: piece.times for piece in made.work(SCALE, [1, 2, 3, 4])}
    assert steps["step"] == SCALE.rounds * made.steps_planned(view)
    if name == "pli":  # one pull after each of two epochs
        assert steps["pull"] == SCALE.rounds * SCALE.clients * 2


def test_more_is_more() -> None:
    """What is counted by multiplications grows with rounds, clients, classes and images."""

    def times(name: str, piece: str, rounds: Sequence[int] = (1,), **changes: int) -> float:
        pieces = create(name).work(Scale(**{**vars(SCALE), **changes}), rounds) or ()
        return {found.name: found.times for found in pieces}[piece]

    assert times("gap", "regression", (1, 2)) > 2 * times(
        "gap", "regression"
    )  # two rounds stand side by side
    assert times("ridge", "regression", (1, 2)) == pytest.approx(2 * times("ridge", "regression"))
    for name, piece in (("gap", "regression"), ("ridge", "regression"), ("ridge", "choice of the weight")):
        assert times(name, piece, clients=6) == pytest.approx(2 * times(name, piece))
        assert times(name, piece, classes=24) > times(name, piece)
        assert times(name, piece, sensitive=240) > times(name, piece)
    assert times("gap", "sums of images", sensitive=240) == pytest.approx(2 * times("gap", "sums of images"))


SMALL: dict[str, dict[str, Any]] = {
    "tbi": {"width": 16, "precision": "bf16"},
    "pli": {"width": 16, "precision": "bf16"},
    "mgan-ai": {"gan_batch": 4, "gan_filters": 4},
    "secret-revealer": {"gan_filters": 4},
}


@pytest.mark.parametrize("name", registry.names("attack"))
def test_every_piece_can_be_done(name: str) -> None:
    pieces = create(name, SMALL.get(name, {})).work(SCALE, [1])
    assert pieces is not None
    assert bool(pieces) == (name != "gan-attack")  # which reads what is there
    for piece in pieces:
        assert piece.times > 0
        piece.once()
        piece.once()


@pytest.mark.parametrize(
    ("name", "of_a_step"), [("gs", 1), ("dlg", 20), ("idlg", 20), ("cpl", 20), ("mgan-ai", 1)]
)
def test_every_cost_of_a_match_is_counted(name: str, of_a_step: int) -> None:
    made: Any = create(name, {"steps": 7, "restarts": 2})
    view: Any = SimpleNamespace(clients=SCALE.clients)
    matched = {piece.name: piece.times for piece in made.work(SCALE, [1, 2])}
    own = made.settings.gan.steps if name == "mgan-ai" else 0
    assert matched["matching of gradients"] == 2 * of_a_step * (made.steps_planned(view) - own)


def test_every_image_of_a_search_is_counted() -> None:
    """By what the search itself looks at, and by the steps of a descent."""
    search: Any = create("secret-revealer", {"steps": 5, "starts": 2})
    (piece,) = search.work(SCALE, [1, 2])
    assert 2 * piece.times == 2 * SCALE.clients * 2 * (
        5 + 1
    )  # two images in a piece; rounds, clients, starts, images
    (piece,) = create("mi-face", {"steps": 9}).work(SCALE, [1, 2]) or ()
    assert piece.times == 2 * SCALE.clients * 10


def test_making_pieces_makes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("nobody asked for it yet")

    monkeypatch.setattr("logitleak.attacks.rehearsal.noise", refuse)
    monkeypatch.setattr("logitleak.attacks.networks.build", refuse)
    monkeypatch.setattr("logitleak.models.base.build", refuse)
    for name in registry.names("attack"):
        assert create(name).work(SCALE, [1]) is not None


def test_what_is_trained_once_is_said(tiny_config: Config) -> None:
    attacks = {"secret-revealer": {"settings": {"steps": 1, "gan_filters": 4}}}
    values = attacked(tiny_config, attacks)
    values["federation"] |= {"scheme": "fedavg", "settings": {}}
    assert told(values)["secret-revealer"].said.endswith(", without its GAN, which is trained once")


def test_before_a_run_attacks_are_told(
    tiny_config: Config, asked: list[tuple[int, list[int]]], tmp_path: Path
) -> None:
    from logitleak.stages.folder import RunFolder
    from logitleak.stages.run import _announcement

    config = configs.parse(attacked(tiny_config, plain("tbi")))
    folder = RunFolder(tmp_path / "run")
    assert _announcement(config, folder, check(config)).endswith(", its attacks about 8 s.")
