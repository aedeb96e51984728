"""``--tune public`` chooses on public data, says so, and does it once."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import logitleak
from logitleak.cli import main
from logitleak.config import AttackConfig
from logitleak.progress import Quiet
from logitleak.stages.tune import tune
from logitleak.storage import read_json
from logitleak.transcript import Transcript

Config = Callable[..., dict[str, Any]]
People = Callable[..., Path]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, people: People, tiny_config: Config) -> Path:
    """A federation with twelve public people, enough to hold some out."""
    folder = tmp_path_factory.mktemp("tune")
    config = tiny_config(people(folder / "people", identities=14))
    return logitleak.run(config | {"attacks": []}, folder / "run").path


def tuned(run: Path, out: Path, attack: str, **settings: Any) -> dict[str, Any]:
    entry = AttackConfig(attack=attack, settings=settings, prior="paired", tune="public")
    found = tune(Transcript(run), entry, 0, torch.device("cpu"), None, out, Quiet())
    return {"settings": dict(found.settings), "account": dict(found.account)}


def test_the_best_candidate_is_chosen(run: Path, tmp_path: Path) -> None:
    found = tuned(run, tmp_path, "ridge")
    assert found["account"]["mock targets"] == 2
    for name in ("gamma", "contrast"):
        rows = found["account"][name]
        best = max(rows, key=lambda row: (row["accuracy"], row["ssim"]))
        assert [row["value"] for row in rows if row["chosen"]] == [found["settings"][name]]
        (chosen,) = (row for row in rows if row["chosen"])
        assert (chosen["accuracy"], chosen["ssim"]) == (best["accuracy"], best["ssim"])


def test_what_is_given_is_kept(run: Path, tmp_path: Path) -> None:
    found = tuned(run, tmp_path, "ridge", gamma=0.5)
    assert found["settings"]["gamma"] == 0.5
    assert "gamma" not in found["account"]
    both = tuned(run, tmp_path / "both", "ridge", gamma=0.5, contrast=0.7)
    assert "every setting" in both["account"]["not tuned"]


def test_it_is_done_once(run: Path, tmp_path: Path) -> None:
    first = tuned(run, tmp_path, "ridge")
    stamp = (tmp_path / "tuning.json").stat().st_mtime_ns
    assert tuned(run, tmp_path, "ridge") == first
    assert (tmp_path / "tuning.json").stat().st_mtime_ns == stamp


def test_the_truth_has_no_say(run: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    shutil.copytree(run / "wire", alone / "wire")
    assert tuned(alone, tmp_path / "a", "ridge") == tuned(run, tmp_path / "b", "ridge")


def test_an_unlabelled_public_set_is_said(tmp_path: Path, tiny_config: Config) -> None:
    config = tiny_config() | {"attacks": []}
    config["federation"] = {"scheme": "dsfl", "clients": 2, "rounds": 1, "batch": 16}
    run = logitleak.run(config, tmp_path / "run").path
    entry = AttackConfig(attack="ridge", tune="public")
    found = tune(Transcript(run), entry, 0, torch.device("cpu"), None, tmp_path / "out", Quiet())
    assert "no labels" in found.account["not tuned"]
    assert found.settings == {}


def test_the_report_says_so(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    network = ["width=16", "steps=2", "batch=4"]
    main(["attack", str(copy), "--attack", "pli", "--prior", "paired", "--tune", "public", "--set", *network])
    metrics = read_json(copy / "metrics.json")["attacks"]["pli"]
    account = metrics["choices"]["tuned on public data"]
    assert {row["value"] for row in account["gamma"]} == {0.0, 0.03, 0.1, 0.3, 1.0}
    assert metrics["settings"]["tune"] == "public"
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
