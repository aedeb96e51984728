"""Canaries: who is in is decided by coins that only the sealed folder knows, and the report compares in with out."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from loopback import Loopback
from safetensors.torch import load_file
from tells_all import hide

from logitleak import config as configs
from logitleak import registry
from logitleak.cli.command import main
from logitleak.config import AttackConfig, DataConfig
from logitleak.data.split import prepare
from logitleak.deploy import canaries
from logitleak.deploy.config import of_run
from logitleak.deploy.folders import client_folder, divide, read_facts, read_private
from logitleak.deploy.server import serve
from logitleak.people.generate import render_images
from logitleak.people.identity import Identity
from logitleak.sealed.files import read_game, read_truth
from logitleak.sealed.game import Game
from logitleak.sealed.truth import GroundTruth
from logitleak.stages.run import attack_run, write_report
from logitleak.types import Absence, Payload

Tiny = Callable[..., dict[str, Any]]
N = 6


def sealed_of(data: Path) -> tuple[GroundTruth, Game]:
    game = read_game(data / "sealed")
    assert game is not None
    return read_truth(data / "sealed"), game


def rows(images: torch.Tensor) -> set[bytes]:
    return {row.numpy().tobytes() for row in images}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file, by name, without the folder's own path in it."""
    own = str(folder).encode()
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes().replace(own, b"") for path in files}


seed_of_nobody = canaries._seed


@pytest.fixture(autouse=True)
def drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same canaries in all tests, and each picture is drawn once."""
    monkeypatch.setattr(canaries, "_seed", lambda: 7)
    monkeypatch.setattr(canaries, "render_images", drawn)


_DRAWN: dict[tuple[Any, ...], np.ndarray[Any, np.dtype[np.uint8]]] = {}


def drawn(identity: Identity, domain: str, numbers: range, *, seed: int, **settings: Any) -> Any:
    """As `render_images`; a person comes from the seed and the index."""
    key = (seed, identity.index, domain, *numbers, *settings.values())
    if key not in _DRAWN:
        _DRAWN[key] = render_images(identity, domain, numbers, seed=seed, **settings)
    return _DRAWN[key].copy()


@pytest.mark.parametrize(("scheme", "first"), [("fedmd", 8), ("dsfl", 4)])
def test_who_gets_what(scheme: str, first: int, four_clients: Tiny, tmp_path: Path) -> None:
    """Labelled schemes have 8 people as classes and dsfl its 4 targets; canaries come behind them."""
    data = tmp_path / "data"
    divide(configs.parse(four_clients(scheme)), data, N)
    truth, game = sealed_of(data)
    units = list(range(first, first + N))
    assert (game.design, game.units.tolist()) == ("canaries", units)
    assert 0 < int(game.coins.sum()) < N
    assert game.strata.tolist() == [truth.owner_of(unit) for unit in units]
    facts = read_facts(data / "server")
    assert facts.num_classes == first + N
    assert facts.target_labels == truth.target_labels.tolist()
    assert facts.target_labels[-N:] == units
    held = {unit: torch.bincount(truth.owners[truth.labels == unit], minlength=4).tolist() for unit in units}
    per_client = torch.tensor(list(held.values())).bool().sum(0)
    assert int(per_client.max() - per_client.min()) == 1  # in turn

    out = rows(truth.images[torch.isin(truth.labels, game.withheld(0))])
    assert out
    seen = set()
    for k in range(4):
        folder = client_folder(data, k)
        private = read_private(folder, read_facts(folder))
        used = game.used(truth, 0)
        expected = truth.client(k, used)
        assert torch.equal(private.images, expected.images)
        assert torch.equal(private.labels, expected.labels)
        assert not rows(private.images) & out
        seen |= set(private.labels.tolist())
    real = set(truth.target_labels.tolist()) - set(units)
    assert seen == real | set(game.units[game.coins[0]].tolist())  # real targets all take part

    shared = load_file(data / "server" / "public.safetensors")
    assert not rows(shared["images"]) & rows(truth.images)
    assert ("labels" in shared) == (scheme == "fedmd")
    of_canaries = torch.isin(truth.public_labels, game.units)
    assert not shared["sensitive"].bool()[of_canaries].any()
    assert set(truth.public_labels[of_canaries].tolist()) == set(units)  # all of them, in and out
    assert [truth.names[unit] for unit in units] == [f"canary-00{number}" for number in range(N)]
    assert stat.S_IMODE((data / "sealed").stat().st_mode) == 0o700


def test_a_canary_is_like_a_target(four_clients: Tiny, tmp_path: Path) -> None:
    config = configs.parse(four_clients("fedmd"))
    divide(config, tmp_path / "data", N)
    truth, game = sealed_of(tmp_path / "data")
    before = prepare(config.data, 4, 0).split
    for unit in game.units.tolist():
        target = int(before.truth.target_labels[0])
        for labels, found in (
            (truth.labels, before.truth.labels),
            (truth.public_labels, before.truth.public_labels),
        ):
            assert int((labels == unit).sum()) == int((found == target).sum())
    n = len(before.truth.labels)
    assert torch.equal(truth.images[:n], before.truth.images)  # the real people are divided as ever
    public = load_file(tmp_path / "data" / "server" / "public.safetensors")["images"]
    assert torch.equal(public[: len(before.public)], before.public.images)
    assert torch.equal(truth.held_images, before.truth.held_images)


def test_the_coins_change_nothing_that_others_see(
    four_clients: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same canaries and other coins, only the sealed game and private images of their own clients differ."""
    monkeypatch.setattr(canaries, "_shuffled", list)
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(four_clients("fedmd")))
    first = [
        True,
        False,
        True,
        False,
        True,
        False,
    ]  # the first is client 0's, the second client 1's, and so on
    sealed = "data/sealed/game.json"
    expected = {
        "first": (first, []),
        "other": ([False, *first[1:]], ["data/client-0/private.safetensors", sealed]),
    }
    every = [f"data/client-{k}/private.safetensors" for k in range(4)]
    expected["all"] = ([not coin for coin in first], [*every, sealed])
    for name, (drawn, differs) in expected.items():
        monkeypatch.setattr(canaries, "_coins", lambda count, drawn=drawn: drawn)
        main(["deploy", "init", str(tmp_path / name), "--config", str(path), "--canaries", str(N)])
        assert sealed_of(tmp_path / name / "data")[1].coins.tolist() == [drawn]
        written = {run: contents(tmp_path / run) for run in ("first", name)}
        assert written["first"].keys() == written[name].keys()
        found = [file for file, content in written[name].items() if written["first"][file] != content]
        assert found == differs


@pytest.mark.slow
def test_nothing_comes_from_the_seed(
    four_clients: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canaries, "_seed", seed_of_nobody)
    config = configs.parse(four_clients("fedmd"))
    truths = []
    for name in ("first", "second"):
        divide(config, tmp_path / name, N)
        truths.append(sealed_of(tmp_path / name)[0])
    assert not rows(truths[0].images[truths[0].labels >= 8]) & rows(truths[1].images[truths[1].labels >= 8])


def test_coins_are_fair_and_never_all_alike() -> None:
    thrown = torch.tensor([canaries._coins(4) for _ in range(2000)])
    assert not bool(thrown.all(1).any())
    assert bool(thrown.any(1).all())
    assert (thrown.float().mean(0) - 0.5).abs().max() < 0.06
    assert {tuple(row) for row in thrown.tolist()} == {
        tuple(bool(n >> bit & 1) for bit in range(4)) for n in range(1, 15)
    }  # every other outcome: balanced in no group


@pytest.mark.parametrize("scheme", ["fedmd", "dsfl", "fedavg"])
def test_from_the_division_to_the_report(scheme: str, four_clients: Tiny, tmp_path: Path) -> None:
    values = four_clients(scheme)
    divide(configs.parse(values), tmp_path / "data", N)
    config = of_run(configs.parse(values), tmp_path / "data", tmp_path / "run")
    run = serve(config, lambda form: Loopback(config))
    attack = "gradients" if scheme == "fedavg" else "ridge"
    entry = AttackConfig(attack=attack, settings={"steps": 1} if scheme == "fedavg" else {})
    blind = attack_run(run.path, attack, entry).metrics
    assert blind["game"] is None  # the server cannot tell
    shutil.copytree(tmp_path / "data" / "sealed", run.sealed)
    result = write_report(run.path)
    game, coins = result.metrics["game"], sealed_of(tmp_path / "data")[1].coins
    assert (game["design"], game["units"], game["in"]) == ("canaries", N, [int(coins.sum())])
    scored = result.metrics["attacks"][attack]
    for image in ("chosen", "owner"):
        leak = scored["leak"][image]
        assert (leak["in"]["trials"], leak["out"]["trials"]) == (int(coins.sum()), int((~coins).sum()))
    assert [row["name"] for row in scored["leak"]["per_target"]] == [f"canary-00{n}" for n in range(N)]
    assert scored["accuracy"]["trials"] == 4 + int(coins.sum())  # real targets, and canaries that were in
    assert result.metrics["data"]["title"] == f"eight-people, with {N} canaries"
    assert "canary-000" in result.report.read_text()


@pytest.mark.slow
def test_a_planted_leak_is_found(four_clients: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that send their canaries' images leak those that are in, and no other."""
    many, values = 12, four_clients("fedmd")
    monkeypatch.setattr(canaries, "_shuffled", list)
    monkeypatch.setattr(canaries, "_coins", lambda count: [True, False, False, True] * (count // 4))
    divide(configs.parse(values), tmp_path / "data", many)
    config = of_run(configs.parse(values), tmp_path / "data", tmp_path / "run")
    held = [read_private(f, read_facts(f)) for f in (client_folder(tmp_path / "data", k) for k in range(4))]

    def spoil(round: int, action: str, client: int, answer: Payload) -> Payload | Absence:
        if action != "upload":
            return answer
        return hide(answer.tensors["logits"], held[client], set(range(8, 8 + many)))

    run = serve(config, lambda form: Loopback(config, spoil))
    shutil.copytree(tmp_path / "data" / "sealed", run.sealed)
    monkeypatch.setitem(
        registry.TABLES["attack"], "reader", registry.Entry("tells_all:Reader", "reads what was hidden")
    )
    result = attack_run(run.path, "reader", AttackConfig(attack="reader"))
    leak = result.metrics["attacks"]["reader"]["leak"]["chosen"]
    assert (leak["in"]["successes"], leak["in"]["trials"]) == (6, 6)
    assert (leak["out"]["successes"], leak["out"]["trials"]) == (0, 6)
    assert leak["auc"]["value"] == 1
    assert leak["leak"]["low"] > 0
    assert leak["leak"]["p"] < 0.01


class TestDomains:
    """What stands in for the insensitive domain, where no degradation makes it."""

    def test_synthetic_people_have_their_own(self, tmp_path: Path) -> None:
        values = {"data": {"targets": 4, "identities": 8, "max_images": 2}, "federation": {"clients": 2}}
        divide(configs.parse(values), tmp_path / "young", 4)
        values["data"]["settings"] = {"insensitive": "masked"}
        divide(configs.parse(values), tmp_path / "masked", 4)
        for name in ("young", "masked"):
            truth, game = sealed_of(tmp_path / name)
            public = load_file(tmp_path / name / "server" / "public.safetensors")["images"]
            assert public.shape[1:] == (3, 64, 64)
            assert int((truth.labels == int(game.units[0])).sum()) == 2
            assert int((truth.public_labels == int(game.units[0])).sum()) == 2

    @pytest.mark.parametrize(
        ("data", "domain"),
        [
            ({}, "young"),
            ({"settings": {"insensitive": "masked"}}, "masked"),
            ({"source": "lag"}, "young"),
            ({"source": "folder", "settings": {"insensitive": "x"}}, "masked"),
        ],
    )
    def test_by_source(self, data: dict[str, Any], domain: str) -> None:
        assert canaries._insensitive_domain(DataConfig(**data)) == domain

    @pytest.mark.parametrize("disjoint", [False, True])
    def test_masked_photos_are_the_private_ones_unless_they_are_to_be_others(
        self, disjoint: bool, eight_people: Path, tiny_config: Tiny, tmp_path: Path
    ) -> None:
        values = tiny_config(
            eight_people, targets=4, protocol="domain-pair", degradation="mask", degradation_settings={},
            disjoint=disjoint,
        ) | {"attacks": {}}  # fmt: skip
        divide(configs.parse(values), tmp_path / "data", 4)
        truth, game = sealed_of(tmp_path / "data")
        public = load_file(tmp_path / "data" / "server" / "public.safetensors")["images"]
        for unit in game.units.tolist():
            own, shown = truth.images[truth.labels == unit], public[truth.public_labels == unit]
            top = rows(own[:, :, :4]) & rows(shown[:, :, :4])  # above the mask a photo stays what it is
            assert len(top) == (0 if disjoint else len(own))


def test_the_guide_says_how_to_open_the_seal(four_clients: Tiny, tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(four_clients("dsfl")))
    main(["deploy", "init", str(tmp_path / "dep"), "--config", str(path), "--canaries", "5"])
    guide = (tmp_path / "dep" / "README.md").read_text()
    assert "## Canaries\n\n5 made-up people are planted" in guide
