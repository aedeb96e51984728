"""Settings are chosen on public data, once, and the report says so: by mock targets, and by mock twins."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import logitleak
from logitleak import config as configs
from logitleak.cli.command import main
from logitleak.config import AttackConfig
from logitleak.files.storage import read_json
from logitleak.progress import Quiet
from logitleak.stages.folder import RunFolder
from logitleak.stages.lab import MockTwins, mock_twins
from logitleak.stages.record import import_recorded
from logitleak.stages.tune import read_tuned, tune_on_mock_targets, tune_on_mock_twins, tuning_of
from logitleak.wire.transcript import Transcript

Config = Callable[..., dict[str, Any]]
People = Callable[..., Path]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, people: People, tiny_config: Config) -> Path:
    """A federation with twenty public people, enough to hold some out."""
    folder = tmp_path_factory.mktemp("tune")
    config = tiny_config(people(folder / "people", identities=24), targets=4)
    return logitleak.run(config | {"attacks": []}, folder / "run").path


def tuned(run: Path, out: Path, attack: str, **settings: Any) -> dict[str, Any]:
    entry = AttackConfig(attack=attack, settings=settings, prior="paired", tune="mock-targets")
    kept = out / "tuning.json"
    found = tune_on_mock_targets(Transcript(run), entry, 0, torch.device("cpu"), None, kept, Quiet())
    return {"settings": dict(found.settings), "account": dict(found.account)}


def test_the_best_candidate_is_chosen(run: Path, tmp_path: Path) -> None:
    found = tuned(run, tmp_path, "ridge")
    assert found["account"]["mock targets"] == 4
    for name in ("gamma", "contrast"):
        rows = found["account"][name]
        best = max(rows, key=lambda row: (row["accuracy"], row["ssim"]))
        assert [row["value"] for row in rows if row["chosen"]] == [found["settings"][name]]
        (chosen,) = (row for row in rows if row["chosen"])
        assert (chosen["accuracy"], chosen["ssim"]) == (best["accuracy"], best["ssim"])
    assert len(found["account"]["tau and lam"]) == 12


def test_what_is_given_is_kept(run: Path, tmp_path: Path) -> None:
    found = tuned(run, tmp_path, "ridge", gamma=0.5)
    assert found["settings"]["gamma"] == 0.5
    assert "gamma" not in found["account"]
    both = tuned(run, tmp_path / "both", "ridge", tau=3, lam=0.1, gamma=0.5, contrast=0.7)
    assert "every setting" in both["account"]["not tuned"]


def test_what_was_chosen_is_kept(run: Path, tmp_path: Path) -> None:
    assert read_tuned(tmp_path / "tuning.json") is None
    first = tuned(run, tmp_path, "ridge")
    again = read_tuned(tmp_path / "tuning.json")
    assert again is not None
    assert {"settings": again.settings, "account": again.account} == first


def test_the_truth_has_no_say(run: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    shutil.copytree(run / "wire", alone / "wire")
    assert tuned(alone, tmp_path / "a", "ridge") == tuned(run, tmp_path / "b", "ridge")


def test_an_unlabelled_public_set_is_said(tmp_path: Path, tiny_config: Config) -> None:
    config = tiny_config() | {"attacks": []}
    config["federation"] = {"scheme": "dsfl", "clients": 2, "rounds": 1, "batch": 16}
    run = logitleak.run(config, tmp_path / "run").path
    entry, kept = AttackConfig(attack="ridge", tune="mock-targets"), tmp_path / "tuning.json"
    found = tune_on_mock_targets(Transcript(run), entry, 0, torch.device("cpu"), None, kept, Quiet())
    assert "no labels" in found.account["not tuned"]
    assert found.settings == {}
    logitleak.run(config | {"attacks": {"gap": {"tune": "public"}}}, run)
    account = read_json(run / "metrics.json")["attacks"]["gap"]["choices"]["tuned on public data"]
    assert "no labels" in account["not tuned"]


def test_the_report_says_so(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    network = ["width=16", "steps=2", "batch=4"]
    main(
        [
            "attack",
            str(copy),
            "--attack",
            "pli",
            "--prior",
            "paired",
            "--tune",
            "mock-targets",
            "--set",
            *network,
        ]
    )
    metrics = read_json(copy / "metrics.json")["attacks"]["pli"]
    account = metrics["choices"]["tuned on public data"]
    assert {row["value"] for row in account["gamma"]} == {0.0, 0.03, 0.1, 0.3, 1.0}
    assert metrics["settings"]["tune"] == "mock-targets"
    assert metrics["settings"]["gamma"] in (0.0, 0.03, 0.1, 0.3, 1.0)
    rival = read_json(copy / "metrics.json")["attacks"].get("prior of pli")
    if metrics["settings"]["gamma"] > 0:  # what the prior alone scores is a rival of its own
        assert rival["kind"] == "rival"
        assert rival["accuracy"] == metrics["prior"]["accuracy"]
    else:
        assert rival is None
        assert metrics["prior"] is None
    page = (copy / "report.html").read_text()
    assert "tuned on public data" in page
    assert "mock targets" in page


class TestMockTwins:
    """The server's own federation of public people."""

    def twins(self, run: Path, home: Path) -> MockTwins:
        config = RunFolder(run).config()
        assert isinstance(config, configs.Config)
        found = mock_twins(Transcript(run).knowledge, config, 7, home, Quiet())
        assert isinstance(found, MockTwins)
        return found

    def test_who_plays_and_what_is_hidden(self, run: Path, tmp_path: Path) -> None:
        real, twins = Transcript(run).knowledge, self.twins(run, tmp_path)
        public = real.public.labelled()
        assert not set(twins.game.units.tolist()) & set(real.target_labels.tolist())
        assert twins.game.paired
        for view in twins.views:
            seen = view.knowledge.public.labelled()
            assert torch.equal(view.knowledge.target_labels, twins.game.units)
            assert view.knowledge.num_classes == real.num_classes
            assert not bool(torch.isin(seen.labels[seen.sensitive], twins.game.units).any())
            hidden = int((public.sensitive & torch.isin(public.labels, twins.game.units)).sum())
            assert len(seen) == len(public) - hidden

    def test_the_worlds_differ_by_who_is_in_alone(self, run: Path, tmp_path: Path) -> None:
        first, second = self.twins(run, tmp_path).views
        assert torch.equal(
            first.server_logits(1), second.server_logits(1)
        )  # FedMD: f_0 sees the public set alone
        assert not torch.equal(first.client_logits(0, 1)[1], second.client_logits(0, 1)[1])

    def test_it_is_played_once(self, run: Path, tmp_path: Path) -> None:
        self.twins(run, tmp_path)
        stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
        self.twins(run, tmp_path)
        assert stamps == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}

    def test_settings_are_those_that_leak_most(self, run: Path, tmp_path: Path) -> None:
        entry, kept = AttackConfig(attack="gap", tune="public"), tmp_path / "tuning.json"
        found = tune_on_mock_twins(
            self.twins(run, tmp_path), entry, 0, torch.device("cpu"), None, kept, Quiet()
        )
        rows = found.account["reference and rounds and tau"]
        assert len(rows) == 2 * 4 * 4  # references, rounds, temperatures
        (chosen,) = (row for row in rows if row["chosen"])
        assert chosen["softened"] == max(row["softened"] for row in rows)
        assert [found.settings[name] for name in ("reference", "rounds", "tau")] == chosen["value"]

    def test_too_few_people(self, tmp_path: Path, tiny_config: Config) -> None:
        run = logitleak.run(tiny_config() | {"attacks": []}, tmp_path / "run").path
        config = RunFolder(run).config()
        assert isinstance(config, configs.Config)
        found = mock_twins(Transcript(run).knowledge, config, 7, tmp_path, Quiet())
        assert isinstance(found, str)
        assert "too few public people" in found

    def test_no_federation_is_played_where_nothing_is_open(self, run: Path, tmp_path: Path) -> None:
        shutil.copytree(run, tmp_path / "run")
        given = ["reference=server", "rounds=last", "tau=3", "lam=1"]
        main(
            [
                "attack",
                str(tmp_path / "run"),
                "--attack",
                "gap",
                "--tune",
                "public",
                "--quiet",
                "--set",
                *given,
            ]
        )
        account = read_json(tmp_path / "run" / "attacks" / "gap" / "attack.json")["choices"]
        assert "every setting" in account["tuned on public data"]["not tuned"]
        assert not (tmp_path / "run" / "lab").exists()

    def test_a_recorded_federation_cannot_be_played_again(self, run: Path, tmp_path: Path) -> None:
        import_recorded(run / "wire", tmp_path / "imported")
        main(["attack", str(tmp_path / "imported"), "--attack", "gap", "--tune", "public", "--quiet"])
        account = read_json(tmp_path / "imported" / "attacks" / "gap" / "attack.json")["choices"]
        assert "is not known" in account["tuned on public data"]["not tuned"]


@pytest.mark.parametrize(
    ("entry", "how"),
    [
        ({"attack": "ridge"}, "public"),
        ({"attack": "gap", "settings": {"beta": 0.2}}, "public"),
        ({"attack": "ridge", "tune": "none"}, "none"),
        ({"attack": "ridge", "tune": "mock-targets"}, "mock-targets"),
        ({"attack": "ridge", "settings": {"tau": 3.0}}, "none"),
        ({"attack": "ridge", "settings": {"tune": "gcv"}}, "none"),
        ({"attack": "gap", "settings": {"reference": "shadow"}}, "none"),
        ({"attack": "gap", "settings": {"reference": "shadow"}, "tune": "public"}, "public"),
        ({"attack": "pli"}, "none"),
    ],
)
def test_who_is_tuned_by_default(entry: dict[str, Any], how: str) -> None:
    """Attacks that are cheap to try, unless somebody chose what could be chosen."""
    assert tuning_of(AttackConfig(**entry)) == how
