"""A run says which version of the tool made what; another version's results are kept with a word, or made anew."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import logitleak
from logitleak import __version__
from logitleak.config import AttackConfig
from logitleak.errors import UserError
from logitleak.files.storage import read_json, write_json
from logitleak.progress import Quiet
from logitleak.stages.run import attack_run

Config = Callable[..., dict[str, Any]]


class Notes(Quiet):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def config(tiny_config: Config) -> dict[str, Any]:
    return tiny_config() | {"attacks": ["ridge"]}


@pytest.fixture
def run(config: dict[str, Any], tmp_path: Path) -> Path:
    return logitleak.run(config, tmp_path / "run").path


def change(run: Path, **status: Any) -> None:
    write_json(run / "run.json", read_json(run / "run.json") | status)


def older(federation: str | None, ridge: str) -> dict[str, Any]:
    return {"federation": federation, "attacks": {"ridge": ridge}}


def written(run: Path) -> int:
    return (run / "wire/round-01/upload.safetensors").stat().st_mtime_ns


def test_this_version_made_it(run: Path) -> None:
    assert read_json(run / "run.json")["made_by"] == older(__version__, __version__)
    assert json.loads((run / "metrics.json").read_text())["made_by"] == older(__version__, __version__)
    assert "Made by version" in (run / "report.html").read_text()


def test_the_same_version_says_nothing(run: Path, config: dict[str, Any]) -> None:
    notes = Notes()
    logitleak.run(config, run, progress=notes)
    assert notes.lines == []


def test_another_version_s_results_are_kept_with_a_word(run: Path, config: dict[str, Any]) -> None:
    change(run, made_by=older("0.0.9", "0.0.8"))
    notes, before = Notes(), written(run)
    logitleak.run(config, run, progress=notes)
    assert notes.lines == [
        "Kept, and not computed anew: the federation by version 0.0.9, ridge by version 0.0.8; this is version "
        f"{__version__}."
    ]
    assert written(run) == before
    assert read_json(run / "run.json")["made_by"] == older("0.0.9", "0.0.8")


def test_a_run_that_does_not_say_is_an_earlier_version_s(run: Path, config: dict[str, Any]) -> None:
    status = read_json(run / "run.json")
    write_json(run / "run.json", {key: value for key, value in status.items() if key != "made_by"})
    notes = Notes()
    logitleak.run(config, run, progress=notes)
    assert "the federation by an earlier version, ridge by an earlier version" in notes.lines[0]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({"paused": True}, 'run.json has no setting "paused"'),
        ({"made_by": {"whom": "me"}}, 'run.json has no setting "made_by.whom"'),
        ({"attacks": 3}, 'run.json: "attacks"'),
    ],
)
def test_a_status_that_this_version_does_not_know(
    run: Path, config: dict[str, Any], status: dict[str, Any], said: str
) -> None:
    change(run, **status)
    for use in (
        lambda: logitleak.run(config, run),
        lambda: attack_run(run, "tbi", AttackConfig(attack="tbi")),
        lambda: logitleak.run(config, run, overwrite=True),
    ):
        with pytest.raises(UserError, match=said) as caught:
            use()
        assert "\n" not in str(caught.value)
        assert "Mend it, or go on with the version that wrote it" in str(caught.value)
    write_json(run / "run.json", [])
    with pytest.raises(UserError, match="run.json: Input should be a valid dictionary"):
        logitleak.run(config, run)


def test_overwrite_makes_it_anew(run: Path, config: dict[str, Any]) -> None:
    change(run, made_by=older("0.0.9", __version__))
    notes, before = Notes(), written(run)
    logitleak.run(config, run, overwrite=True, progress=notes)
    assert notes.lines == []
    assert written(run) != before
    assert read_json(run / "run.json")["made_by"] == older(__version__, __version__)


def test_an_attack_is_added_to_an_older_federation(run: Path) -> None:
    change(run, made_by=older("0.0.9", "0.0.9"))
    notes = Notes()
    attack_run(run, "sharp", AttackConfig(attack="ridge", settings={"tau": 1.0}), progress=notes)
    assert "the federation by version 0.0.9" in notes.lines[0]
    made = read_json(run / "run.json")["made_by"]
    assert made["attacks"] == {"ridge": "0.0.9", "sharp": __version__}


def test_a_half_made_federation_is_not_gone_on_with(
    config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("logitleak.stages.simulation.Simulation.confidence", killed)
        with pytest.raises(KeyboardInterrupt):
            logitleak.run(config, tmp_path / "run")
    change(tmp_path / "run", made_by=older("0.0.9", __version__))
    with pytest.raises(
        logitleak.UserError, match=r"a federation that version 0\.0\.9 has begun, and this is"
    ):
        logitleak.run(config, tmp_path / "run")
    logitleak.run(config, tmp_path / "run", overwrite=True)


def test_a_half_made_attack_is_not_gone_on_with(run: Path, config: dict[str, Any]) -> None:
    (run / "attacks/ridge/attack.json").unlink()
    change(run, made_by=older(__version__, "0.0.9"))
    with pytest.raises(logitleak.UserError, match=r'an attack "ridge" that version 0\.0\.9 has begun'):
        logitleak.run(config, run)


def test_an_attack_that_is_not_begun_is_this_version_s(run: Path, config: dict[str, Any]) -> None:
    shutil.rmtree(run / "attacks/ridge")
    change(run, made_by=older(__version__, "0.0.9"))
    notes = Notes()
    logitleak.run(config, run, progress=notes)
    assert notes.lines == []
    assert read_json(run / "run.json")["made_by"] == older(__version__, __version__)


def test_nobody_made_a_recorded_federation(run: Path, config: dict[str, Any]) -> None:
    change(run, deployed=True, made_by=older(None, __version__))
    notes = Notes()
    attack_run(run, "sharp", AttackConfig(attack="ridge", settings={"tau": 1.0}), progress=notes)
    assert notes.lines == []
    assert read_json(run / "run.json")["made_by"]["federation"] is None
