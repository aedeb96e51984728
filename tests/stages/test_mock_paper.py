"""The paper's mock federation, everybody at one client and a coin about a person, is to the bit what it was before
others came: what was chosen on it is chosen still."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import logitleak
from logitleak import config as configs
from logitleak.config import AttackConfig
from logitleak.files.storage import read_tensors
from logitleak.progress import Quiet
from logitleak.sealed import game as games
from logitleak.sealed.truth import GroundTruth, Split
from logitleak.seeds import derive, derive_int
from logitleak.stages.folder import RunFolder, World
from logitleak.stages.lab import MockTwins, mock_twins
from logitleak.stages.simulation import Simulation
from logitleak.stages.tune import tune_on_mock_twins
from logitleak.types import PublicData
from logitleak.wire.transcript import Transcript

Tiny = Callable[..., dict[str, Any]]
People = Callable[..., Path]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, people: People, tiny_config: Tiny) -> Path:
    """A federation with twenty public people; do not change it."""
    folder = tmp_path_factory.mktemp("paper")
    config = tiny_config(people(folder / "people", identities=24), targets=4)
    return logitleak.run(config | {"attacks": []}, folder / "run").path


def twins_of(run: Path, home: Path) -> MockTwins:
    config = RunFolder(run).config()
    assert isinstance(config, configs.Config)
    found = mock_twins(Transcript(run).knowledge, config, 7, home, Quiet())
    assert isinstance(found, MockTwins)
    return found


def test_who_plays_whom_is_pinned(run: Path, tmp_path: Path) -> None:
    found = twins_of(run, tmp_path)
    assert found.game.units.tolist() == [1, 13, 15, 17]
    assert found.game.strata.tolist() == [0, 1, 1, 0]
    assert found.game.coins.int().tolist() == [[0, 1, 0, 1], [1, 0, 1, 0]]
    assert (found.clients, found.rounds, found.measure) == (2, 2, "success")
    digest = hashlib.sha256()
    for world in range(2):
        file = tmp_path / "mock" / str(world) / "wire" / "public.safetensors"
        for key, value in sorted(read_tensors(file).items()):
            digest.update(key.encode())
            digest.update(value.contiguous().view(torch.uint8).numpy().tobytes())
    assert digest.hexdigest()[:16] == "ab43259473d32de7"


@pytest.mark.parametrize(
    ("attack", "chosen"),
    [
        ("gap", {"reference": "others", "rounds": "all", "tau": 3.0, "lam": 0.1}),
        ("ridge", {"tau": 30.0, "lam": 0.01, "gamma": 0.0, "contrast": 0.7}),
    ],
)
def test_what_is_chosen_is_pinned(attack: str, chosen: dict[str, Any], run: Path, tmp_path: Path) -> None:
    entry, kept = AttackConfig(attack=attack, tune="public"), tmp_path / "tuning.json"
    found = tune_on_mock_twins(twins_of(run, tmp_path), entry, 0, torch.device("cpu"), None, kept, Quiet())
    assert found.settings == chosen
    first = "tau and lam" if attack == "ridge" else "reference and rounds and tau"
    assert list(found.account)[:5] == ["on", "mock targets", "clients", "rounds", first]


def test_transcripts_are_those_of_the_former_recipe(run: Path, tmp_path: Path) -> None:
    """Written out here as it was: deal people out, halve them, simulate."""
    twins_of(run, tmp_path / "lab")
    known, config = Transcript(run).knowledge, RunFolder(run).config()
    assert isinstance(config, configs.Config)
    public, seed = known.public.labelled(), derive_int(7, "lab")
    people = torch.unique(public.labels[public.sensitive])
    people = people[torch.isin(people, public.labels[~public.sensitive])]
    chosen = people[torch.randperm(len(people), generator=derive(seed, "people"))[:4]].sort().values
    order = torch.randperm(4, generator=derive(seed, "owners")).tolist()
    owner = {int(chosen[place]): turn % 2 for turn, place in enumerate(order)}
    private = public.sensitive & torch.isin(public.labels, chosen)
    labels = public.labels[private]
    owners = torch.tensor([owner[label] for label in labels.tolist()])
    names = [str(label) for label in range(known.num_classes)]
    truth = GroundTruth(public.images[private], labels, owners, public.images[:0], public.labels[:0],
                        public.labels[~private], names)  # fmt: skip
    seen = PublicData(public.images[~private], public.labels[~private], public.sensitive[~private])
    game = games.twins(chosen, torch.tensor([owner[label] for label in chosen.tolist()]), 2, seed)
    for number in range(2):
        world = World(tmp_path / str(number))
        split = Split(seen, truth, known.num_classes)
        again = config.model_copy(update={"seed": seed})
        Simulation(again, world, split, game.used(truth, number), None, Quiet(), number=number).go_on()
        for file in sorted(world.wire.rglob("*.safetensors")):
            there = tmp_path / "lab" / "mock" / str(number) / "wire" / file.relative_to(world.wire)
            ours, theirs = read_tensors(file), read_tensors(there)
            assert ours.keys() == theirs.keys()
            assert all(torch.equal(ours[key], theirs[key]) for key in ours)
