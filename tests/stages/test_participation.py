"""Runs in which some clients are drawn for each round: the same in all worlds, attacked and audited like any other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from killed import resumed_equals_straight

import logitleak
from logitleak import config as configs
from logitleak import registry
from logitleak.files.storage import read_tensors
from logitleak.formats.federation import NOT_DRAWN
from logitleak.stages.cast import played
from logitleak.stages.plan import plan
from logitleak.types import MODEL_KINDS
from logitleak.wire.transcript import Transcript
from needs import needs
from quick_schemes import quick

Config = Callable[..., dict[str, Any]]
Federate = Callable[..., dict[str, Any]]

NETWORK = {"width": 16, "steps": 2, "batch": 4}
ATTACKS: dict[str, Any] = {
    "gap": {"settings": {"reference": "others"}, "tune": "none"},
    "ridge": {"tune": "none"},
    "tbi": {"settings": NETWORK},
}


@pytest.fixture
def four(
    tiny_config: Config, people: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Federate:
    """A factory of configurations with four clients, of whom two are drawn for each of three rounds."""
    root = people(tmp_path_factory.mktemp("data") / "people", identities=12, images=4)

    def make(scheme: str = "fedmd", **federation: Any) -> dict[str, Any]:
        values = tiny_config(root, targets=8, held_out=0.25)
        settings = values["federation"]["settings"] if scheme == "fedmd" else quick(scheme)
        values["federation"] |= {
            "scheme": scheme, "settings": settings, "clients": 4, "rounds": 3, "participation": 0.5,
        } | federation  # fmt: skip
        return values | {"attacks": {}}

    return make


def missing(view: Transcript) -> list[list[int]]:
    """Who is away from each round, in all of its exchanges."""
    found = []
    for t in range(1, view.rounds + 1):
        said = view.absent(t)
        assert {reason for one in said.values() for reason in one.values()} <= {NOT_DRAWN}
        (away,) = {tuple(sorted(one)) for one in said.values()} or {()}
        found.append(list(away))
    return found


@pytest.mark.parametrize("scheme", registry.names("scheme"))
def test_every_scheme_in_twin_worlds(scheme: str, four: Federate, tmp_path: Path) -> None:
    values = four(scheme) | {"game": {"design": "twins"}}
    kind = registry.load("scheme", scheme).upload_kind
    labelled = registry.load("scheme", scheme).labelled
    values["attacks"] = {"gradients": {"settings": {"steps": 1}}} if kind in MODEL_KINDS else dict(ATTACKS)
    if labelled and kind not in MODEL_KINDS:
        values["attacks"]["pli"] = {"settings": NETWORK}
    run = logitleak.run(values, tmp_path / "run")
    views = [Transcript(run.path / "worlds" / world) for world in "01"]
    assert missing(views[0]) == missing(views[1])
    assert [len(away) for away in missing(views[0])] == [2, 2, 2]
    assert all(view.absent(0) == {} for view in views)
    assert set(run.metrics["attacks"]) >= set(values["attacks"])
    sees = run.metrics["threat_model"]["sees"]
    assert sum("2 of 4 clients are drawn" in line for line in sees) == 1
    assert len(run.metrics["utility"]["clients"]) == 4


def test_everybody_is_what_it_was(four: Federate, tmp_path: Path) -> None:
    """To the bit, under the hash that runs had before there were draws."""
    values = four(participation=1.0, rounds=2)
    without = {
        **values,
        "federation": {k: v for k, v in values["federation"].items() if k != "participation"},
    }
    one, other = configs.parse(values), configs.parse(without)
    assert one.federation_hash() == other.federation_hash()
    assert one.hash() == other.hash()
    assert "participation" not in one.to_yaml()
    assert configs.parse(four(rounds=2)).federation_hash() != one.federation_hash()
    assert missing(Transcript(logitleak.run(values, tmp_path / "a").path)) == [[], []]
    logitleak.run(without, tmp_path / "b")
    for path in sorted((tmp_path / "a" / "wire").rglob("*.*")):
        assert (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("scheme", ["fedmd", "fedgems", "fedkd"])
def test_going_on_is_as_if_it_had_not_stopped(
    scheme: str, four: Federate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert resumed_equals_straight(four(scheme), tmp_path, monkeypatch) > 6


@pytest.mark.parametrize("kind", ["plain", "secure-sum"])
def test_the_audit_subtracts_sums(kind: str, four: Federate, tmp_path: Path) -> None:
    """One of four clients is away from each round, and in eight rounds each of them once at least."""
    values = four(participation=0.75, rounds=8, aggregation=kind) | {"game": {"design": "twins"}}
    run = logitleak.run(values, tmp_path / "run")
    found = logitleak.audit(run.path, fast=True, device="cpu").found["audits"]
    (identity,) = (one for one in found if one["audit"] == "identity")
    view = Transcript(run.path / "worlds" / "0")
    assert {len(away) for away in missing(view)} == {1}
    assert len({away[0] for away in missing(view)}) == 4
    who = "differences" if kind != "plain" else "sums, differences"
    if kind != "plain":
        sees = run.metrics["threat_model"]["sees"]
        assert sees[0].startswith(
            "The mean of the logits on the public images of those who took part, 3 of 4 clients"
        )
        assert not any("mean of all" in one for one in sees)
    (line,) = (view for view in identity["views"] if view["onlooker"] == who)
    assert line["refused"] is None
    assert line["variants"]


def test_somebody_who_was_never_drawn(four: Federate, tmp_path: Path) -> None:
    """Nothing was heard of it, so no attack chooses it, and no audit has a number for it."""
    values = four(participation=0.25) | {"attacks": dict(ATTACKS), "baselines": True}
    run = logitleak.run(values, tmp_path / "run")
    away = missing(Transcript(run.path))
    (never,) = set(range(4)) - {k for t in range(3) for k in range(4) if k not in away[t]}
    last = read_tensors(run.path / "attacks" / "ridge" / "round-03.safetensors")
    assert not (last["chosen"] == never).any()
    found = logitleak.audit(run.path, device="cpu").found["audits"]
    assert {one["audit"] for one in found} >= {"identity", "never-queried", "stealing"}


def test_sums_are_of_those_who_were_drawn(four: Federate, tmp_path: Path) -> None:
    one = Transcript(logitleak.run(four(rounds=1), tmp_path / "plain").path)
    summed = Transcript(logitleak.run(four(rounds=1, aggregation="secure-sum"), tmp_path / "sum").path)
    assert missing(one) == missing(summed)
    here = [k for k in range(4) if k not in missing(one)[0]]
    mean = torch.stack([one.client_logits(k, 1)[1] for k in here]).mean(0)
    torch.testing.assert_close(summed.client_logits(0, 1)[1], mean, rtol=0, atol=1e-5)


def test_replies_to_candidates_are_those_of_the_last_time(four: Federate, tmp_path: Path) -> None:
    run = logitleak.run(four() | {"candidates": 8}, tmp_path / "run")
    away = missing(Transcript(run.path))
    said = [
        read_tensors(run.path / "sealed" / "replies-0" / f"round-{t:02d}.safetensors")["replies"]
        for t in (1, 2, 3)
    ]
    assert not said[0][away[0]].any()
    for t in (1, 2):
        present = [k for k in range(4) if k not in away[t]]
        assert torch.equal(said[t][away[t]], said[t - 1][away[t]])
        assert not any(torch.equal(said[t][k], said[t - 1][k]) for k in present)
    found = logitleak.audit(run.path, fast=True, device="cpu").found["audits"]
    (queried,) = (one for one in found if one["audit"] == "queried")
    assert queried["views"][0]["refused"] is None


def test_what_is_said_of_it(four: Federate, tmp_path: Path) -> None:
    values = four(scheme="fedavg")
    run = logitleak.run(values, tmp_path / "run")
    page = (run.path / "report.html").read_text()
    assert "2 of 4, drawn anew" in page
    assert "Clients that were missing" not in page
    assert (
        "federation  fedavg, K = 4 clients (cnn), T = 3 rounds, 2 of 4 clients a round"
        in plan(configs.parse(values)).lines()
    )


def test_forecasts_count_who_is_drawn(four: Federate) -> None:
    fewer, all_ = (
        plan(configs.parse(four(participation=share) | {"attacks": ["tbi"]})) for share in (0.25, 1.0)
    )
    assert fewer.disk.transcript < all_.disk.transcript
    assert fewer.memory.stages["federation"] < all_.memory.stages["federation"]
    assert fewer.federation.drawn == 1


def test_mock_clients_are_drawn_too(four: Federate) -> None:
    config = configs.parse(four(participation=0.5, minimum_clients=2))
    mock = played(config, 8, 1).federation
    assert (mock.clients, mock.drawn, mock.minimum_clients) == (4, 2, 2)
    mock = played(config, 4, 1).federation
    assert (mock.clients, mock.drawn, mock.minimum_clients) == (2, 2, 2)
    mock = played(configs.parse(four(participation=0.25)), 4, 1).federation
    assert (mock.clients, mock.drawn) == (2, 1)
    assert played(configs.parse(four(participation=1.0)), 4, 1).federation.participation == 1.0


@pytest.mark.parametrize(
    ("federation", "said"),
    [
        ({"minimum_clients": 3}, "minimum_clients is 3, and federation.participation draws 2 of 4 clients"),
        ({"participation": 0.0}, "participation"),
        ({"participation": 1.5}, "participation"),
        ({"participation": 0.25, "aggregation": "secure-sum"}, "draws one of 4 for each round; raise it"),
        pytest.param(
            {"aggregation": {"kind": "ckks", "settings": {"server": "aggregator"}}},
            "draws 2 of 4 clients, so that no client has all means; set federation.participation=1",
            marks=needs("tenseal"),
        ),
    ],
)
def test_what_cannot_be(federation: dict[str, Any], said: str, four: Federate) -> None:
    with pytest.raises(logitleak.UserError, match=said):
        plan(configs.parse(four(**federation)))
