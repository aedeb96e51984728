"""The server's own federation is played like the real one, and settings are chosen by what leaks in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mocked import SETTINGS, WAYS, configured, knowledge, played
from torch import Tensor

import logitleak
from logitleak.config import AttackConfig
from logitleak.errors import UserError
from logitleak.files.storage import read_json, read_tensors
from logitleak.metrics.attack import references
from logitleak.progress import Quiet
from logitleak.stages import tune as tuning
from logitleak.stages import worlds as stage
from logitleak.stages.audit_truth import Truth
from logitleak.stages.lab import MockTwins, mock_twins
from logitleak.stages.simulation import Simulation
from logitleak.stages.tune import tune_on_mock_twins
from logitleak.types import Reconstructions

Tiny = Callable[..., dict[str, Any]]
People = Callable[..., Path]


@pytest.mark.parametrize("clients", [1, 2, 4])
@pytest.mark.parametrize(("partition", "unit"), WAYS)
def test_every_partition_and_unit_is_played(partition: str, unit: str, clients: int, tmp_path: Path) -> None:
    """Uploads of a client differ between worlds where what it may use does."""
    settings = SETTINGS[partition](clients, 6)
    config = configured(clients, unit, True, partition=partition, partition_settings=settings)
    once = config.federation.model_copy(
        update={"rounds": 1, "settings": {"transfer_public": 1, "transfer_private": 1}}
    )
    config = config.model_copy(update={"federation": once})
    twins = mock_twins(knowledge(True, classes=6, images=4), config, 7, tmp_path, Quiet())
    assert isinstance(twins, MockTwins)
    crowded = (partition, unit, clients) == ("identity", "person", 4)  # each client needs two of six people
    assert (twins.clients, twins.measure, len(twins.game.units)) == (3 if crowded else clients, "wins", 6)
    used = [twins.game.used(twins.truth, world) for world in range(2)]
    for client in range(twins.clients):
        mine = twins.truth.owners == client
        ours = [view.client_logits(client, 1)[1] for view in twins.views]
        assert all(bool(logits.isfinite().all()) for logits in ours)
        assert torch.equal(*ours) == torch.equal(used[0][mine], used[1][mine])


def test_clients_that_cannot_learn_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mock client may have one image, of which BatchNorm has no statistics: that is no reason to end the run."""

    def refused(*args: Any) -> None:
        raise UserError("Client 1 has a single image to learn from.")

    monkeypatch.setattr("logitleak.stages.lab.Simulation", refused)
    found = mock_twins(knowledge(False), configured(2, partition="iid"), 7, tmp_path, Quiet())
    assert found == "the mock federation cannot be trained: Client 1 has a single image to learn from."


class Killed(BaseException):
    """Ends a run as a signal would."""


def files(folder: Path) -> dict[str, dict[str, Tensor]]:
    return {
        str(file.relative_to(folder)): read_tensors(file) for file in sorted(folder.rglob("*.safetensors"))
    }


@pytest.mark.parametrize("stop", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_an_interrupted_lab_goes_on(stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known, config = knowledge(False), configured(2, "person-at-client", partition="iid")
    whole = mock_twins(known, config, 7, tmp_path / "whole", Quiet(), shadows=True)
    checkpoint, calls = Simulation._checkpoint, 0

    def counting(self: Simulation, round: int) -> None:
        nonlocal calls
        checkpoint(self, round)
        calls += 1
        if calls == stop:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Simulation, "_checkpoint", counting)
        with pytest.raises(Killed):
            mock_twins(known, config, 7, tmp_path / "killed", Quiet(), shadows=True)
    again = mock_twins(known, config, 7, tmp_path / "killed", Quiet(), shadows=True)
    assert isinstance(whole, MockTwins)
    assert isinstance(again, MockTwins)
    ours, theirs = files(tmp_path / "killed"), files(tmp_path / "whole")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[file][key], theirs[file][key]) for file in ours for key in ours[file])


class Planted:
    """An attack that shows the truth of whoever is in, from the clients that coins are about, with one of its settings;
    with any other the image of nobody. Elsewhere it shows what it shows anyhow."""

    def __init__(self, twins: MockTwins, found: bool) -> None:
        self.twins, self.found = twins, found

    def last(self, view: Any) -> Reconstructions:
        known, game = self.twins.known, self.twins.game
        targets, clients = len(known.labels), self.twins.clients
        images = torch.full((clients, targets, *known.private.shape[1:]), 0.5)
        for place in torch.nonzero(game.coins[view.number]).flatten().tolist() if self.found else ():
            images[known.owners[place], place] = known.private[place]
        others = (known.owners + 1) % clients
        chosen = others if game.at_client else known.owners  # who looks at the chosen one then sees nothing
        return Reconstructions(images, known.labels, chosen, torch.zeros(clients, targets))


@pytest.mark.parametrize("one_domain", [False, True])
@pytest.mark.parametrize(
    ("unit", "partition"),
    [("person", "identity"), ("person", "iid"), ("person-at-client", "overlap"), ("image", "iid")],
)
def test_a_planted_effect_is_found(
    unit: str, partition: str, one_domain: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings that leak more in the mock game are chosen, by the measure and the image that the verdict asks for."""
    known = knowledge(one_domain, classes=8 if one_domain else 48)
    config = configured(2, unit, one_domain, partition=partition)
    made = played(known, config)
    views: Any = [SimpleNamespace(number=number, clients=2) for number in range(2)]
    measure: Any = "wins" if one_domain else "success"
    truth = made.split.truth
    twins = MockTwins(
        views, made.game, truth, references(truth, made.split.public, made.game), measure, partition, 2, 2
    )

    def make(entry: AttackConfig, given: Mapping[str, Any], *args: Any) -> Planted:
        return Planted(twins, given.get("tau") == 3.0 and given.get("reference") == "server")

    monkeypatch.setattr(tuning, "make_attack", make)
    kept = tmp_path / "tuning.json"
    entry = AttackConfig(attack="gap", tune="public")
    found = tune_on_mock_twins(twins, entry, 0, torch.device("cpu"), None, kept, Quiet())
    assert (found.settings["tau"], found.settings["reference"]) == (3.0, "server")
    rows = found.account["reference and rounds and tau"]
    best = next(row for row in rows if row["chosen"])
    asked = "wins" if one_domain else "leak"
    assert best[asked] == 1.0
    assert min(row[asked] for row in rows) == (0.5 if one_domain else 0.0)  # all tied, or none passed
    usual = (unit, partition, one_domain) == ("person", "identity", False)
    assert ("partition" in found.account) != usual


def test_behind_a_sum_the_only_image_is_asked_for(tmp_path: Path) -> None:
    config = configured(2, "person-at-client", partition="iid")
    twins = mock_twins(knowledge(False), config, 7, tmp_path, Quiet())
    assert isinstance(twins, MockTwins)
    entry = AttackConfig(attack="gap", tune="public", view="sum")
    found = tune_on_mock_twins(twins, entry, 0, torch.device("cpu"), None, tmp_path / "tuning.json", Quiet())
    assert "lam" in found.settings


def of_one_domain(root: Path, unit: str, **data: Any) -> dict[str, Any]:
    return {
        "device": "cpu",
        "data": {"source": "images", "root": str(root), "image_size": 16, "protocol": "one-domain",
                 "public_share": 0.4, "partition": "iid", **data},
        "federation": {"clients": 2, "rounds": 2, "batch": 8},
        "game": {"design": "twins", "unit": unit},
        "attacks": {"gap": {"attack": "gap"}, "ridge": {"attack": "ridge"}},
    }  # fmt: skip


SLOWER = [pytest.param(unit, marks=pytest.mark.slow) for unit in ("person-at-client", "image")]
OTHERS = [pytest.param(unit, marks=pytest.mark.slow) for unit in ("person", "image")]


class TestOneRun:
    """A whole run in which settings are chosen, and its audit."""

    @pytest.mark.slow
    @pytest.mark.parametrize("unit", ["person", *SLOWER])
    def test_one_domain(self, unit: str, people: People, tmp_path: Path) -> None:
        root = people(tmp_path / "people", identities=6, images=10)
        run = logitleak.run(of_one_domain(root, unit), tmp_path / "run")
        for name in ("gap", "ridge"):
            entry = run.metrics["attacks"][name]
            account = entry["choices"]["tuned on public data"]
            assert "not tuned" not in account
            assert (account["measure"], account["unit"], account["partition"]) == ("wins", unit, "iid")
            assert any("private images are divided" in line for line in entry["assumptions"])
        logitleak.audit(run.path, device="cpu")
        found = read_json(run.path / "audit.json")
        identity = next(one for one in found["audits"] if one["audit"] == "identity")
        assert ("game" in identity["estimate"]) == (unit != "image")  # who misses one image holds the others
        assert unit == "image" or identity["estimate"]["game"]["area"]["positives"] == 6
        assert "hold the targets' classes" in found["lab"]  # what is usual there is not what nobody holds
        variants = [one["variant"] for one in identity["views"][0]["variants"]]
        assert not any("against shadows" in variant for variant in variants)

    @pytest.mark.slow
    @pytest.mark.parametrize("unit", [*OTHERS, "person-at-client"])
    def test_shared_classes_in_two_domains(
        self, unit: str, tiny_config: Tiny, people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Chosen once for both worlds, and not again."""
        config = tiny_config(people(tmp_path / "people", identities=24, images=6), targets=4, partition="iid")
        config |= {"game": {"design": "twins", "unit": unit}, "attacks": {"gap": {"attack": "gap"}}}
        calls, tune = [], stage.tune_on_mock_twins

        def counted(*args: Any) -> Any:
            calls.append(args)
            return tune(*args)

        monkeypatch.setattr(stage, "tune_on_mock_twins", counted)
        run = logitleak.run(config, tmp_path / "run").path
        assert len(calls) == 1
        said = [read_json(run / "worlds" / world / "attacks" / "gap" / "attack.json") for world in "01"]
        assert said[0]["settings"] == said[1]["settings"]
        account = said[0]["choices"]["tuned on public data"]
        assert account["measure"] == "success"
        assert (run / "lab" / f"mock-iid-{unit}" / "1" / "whole").exists()
        for world in "01":  # attacked again, by what was kept
            for file in (run / "worlds" / world / "attacks" / "gap").glob("*"):
                if file.name != "tuning.json":
                    file.unlink() if file.is_file() else shutil.rmtree(file)
        logitleak.run(config, run)
        assert len(calls) == 1
        again = read_json(run / "worlds" / "1" / "attacks" / "gap" / "attack.json")
        assert again["settings"] == said[1]["settings"]
        logitleak.audit(run, device="cpu")
        found = read_json(run / "audit.json")
        assert found["lab"] is None
        identity = next(one for one in found["audits"] if one["audit"] == "identity")
        assert unit == "image" or identity["estimate"]["game"]["area"]["negatives"] == 4

    def test_one_client_and_no_game(self, people: People, tmp_path: Path) -> None:
        """Nobody else to compare with, so shadows of both mock worlds are tried; coins are about persons then."""
        values = of_one_domain(people(tmp_path / "people", identities=5, images=10), "image")
        values |= {"game": {"design": "none", "unit": "image"}, "attacks": {"gap": {"attack": "gap"}}}
        values["federation"]["clients"] = 1
        run = logitleak.run(values, tmp_path / "run")
        account = run.metrics["attacks"]["gap"]["choices"]["tuned on public data"]
        assert {row["value"][0] for row in account["reference and rounds and tau"]} == {"server", "shadow"}
        assert (account["unit"], account["mock targets"]) == ("person", 5)
        logitleak.audit(run.path, device="cpu")
        assert "hold the targets' classes" in read_json(run.path / "audit.json")["lab"]

    def test_where_there_is_none_fixed_settings_stay(self, people: People, tmp_path: Path) -> None:
        root = people(tmp_path / "people", identities=3, images=10)
        run = logitleak.run(of_one_domain(root, "image"), tmp_path / "run")
        account = run.metrics["attacks"]["gap"]["choices"]["tuned on public data"]
        assert "too few classes" in account["not tuned"]
        assert run.metrics["attacks"]["gap"]["settings"]["tau"] is None


def test_the_audit_knows_who_holds_what_in_the_lab(tmp_path: Path) -> None:
    """Scores that are 1 where a client uses a target's images and 0 elsewhere are told from all others."""
    twins = mock_twins(
        knowledge(False), configured(4, "person-at-client", partition="iid"), 7, tmp_path, Quiet()
    )
    assert isinstance(twins, MockTwins)
    truth = Truth.of_mock(twins)
    assert truth.owners.tolist() == twins.game.strata.tolist()
    for world in range(2):
        held = truth.holdings(world, 4) > 0
        assert int(truth.holdings(world, 4).sum()) == int(twins.game.used(twins.truth, world).sum())
        places = torch.arange(len(truth.targets))
        assert torch.equal(held[truth.owners, places], twins.game.coins[world])
