"""What `--json` prints: one JSON object on standard output, however a command ends; the rest on standard error."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from logitleak import cli
from logitleak.files.storage import read_json, read_tensors, write_tensors
from logitleak.registry import TABLES

Process = Callable[..., subprocess.CompletedProcess[str]]
Asks = Callable[..., tuple[int, dict[str, Any], str]]
TinyConfig = Callable[..., dict[str, Any]]


@pytest.fixture
def asks(capsys: pytest.CaptureFixture[str]) -> Asks:
    """Run a command with ``--json``: its exit code, its object, and what it says on standard error."""

    def call(*arguments: str | Path) -> tuple[int, dict[str, Any], str]:
        capsys.readouterr()
        code = 0
        try:
            cli.main([*map(str, arguments), "--json"])
        except SystemExit as end:
            code = int(end.code or 0)
        said = capsys.readouterr()
        found = json.loads(said.out)
        assert isinstance(found, dict)
        assert said.out.count("\n") == 1
        return code, found, said.err

    return call


def test_a_report_in_numbers(run_folder: Path, asks: Asks) -> None:
    code, found, said = asks("report", run_folder)
    assert (code, set(found)) == (0, {"report", "run", "attacks", "failed", "verdict"})
    assert (found["report"], found["run"]) == (str(run_folder / "report.html"), str(run_folder))
    measured = read_json(run_folder / "metrics.json")["attacks"]
    assert set(found["attacks"]) == set(measured)
    ridge = found["attacks"]["ridge"]
    assert ridge == {"kind": "attack", "accuracy": measured["ridge"]["accuracy"], "leak": None}
    assert set(ridge["accuracy"]) == {"value", "low", "high", "successes", "trials"}
    assert found["failed"] == {}
    assert found["verdict"]["headline"]
    assert "evaluation ..." in said


def test_quiet_says_nothing_besides(run_folder: Path, asks: Asks) -> None:
    _, found, said = asks("report", run_folder, "--quiet")
    assert (found["failed"], said) == ({}, "")


def test_an_attack_in_numbers(run_folder: Path, asks: Asks) -> None:
    code, found, _ = asks("attack", run_folder, "--name", "cold", "--set", "tau=1.5", "--quiet")
    assert code == 0
    assert found["attacks"]["cold"]["accuracy"]["trials"] == 2


def test_a_game_in_numbers(tmp_path: Path, tiny_config: TinyConfig, asks: Asks) -> None:
    config = tiny_config(targets=4) | {"attacks": ["ridge"]}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    code, found, said = asks("run", tmp_path / "config.yaml", "--twins", "--out", tmp_path / "run")
    assert code == 0
    measured = read_json(tmp_path / "run" / "metrics.json")["attacks"]["ridge"]["leak"]["chosen"]
    leak = found["attacks"]["ridge"]["leak"]
    assert leak == {side: measured[side] for side in ("in", "out", "leak", "wins")}
    assert {"value", "low", "high", "p"} <= set(leak["leak"])
    assert found["attacks"]["prior"]["leak"] is None
    assert (found["verdict"]["attack"], found["verdict"]["grade"]) == ("ridge", "quiet")
    assert f"The run is written to {tmp_path / 'run'}; its federation takes about " in said


def test_without_the_truth_nothing_is_measured(run_folder: Path, asks: Asks) -> None:
    shutil.rmtree(run_folder / "sealed")
    _, found, _ = asks("report", run_folder)
    assert found["attacks"]["ridge"] == {"kind": "attack", "accuracy": None, "leak": None}
    assert found["verdict"]["grade"] == "none"


def test_attacks_that_fail_are_told_beside_the_others(
    tmp_path: Path, tiny_config: TinyConfig, asks: Asks, monkeypatch: pytest.MonkeyPatch
) -> None:
    from logitleak.attacks.ridge import Ridge
    from logitleak.errors import UserError

    def fail(*arguments: Any) -> None:
        raise UserError("It cannot be.")

    monkeypatch.setattr(Ridge, "reconstruct_client", fail)
    config = tiny_config() | {"attacks": {"ridge": {}, "tbi": tiny_config()["attacks"]["tbi"]}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    code, found, said = asks("run", tmp_path / "config.yaml", "--out", tmp_path / "run", "--quiet")
    assert code == 2
    assert found["failed"] == {"ridge": "It cannot be."}
    assert found["attacks"]["tbi"]["accuracy"]["trials"] == 2
    assert found["error"].startswith("1 attack failed. ridge: It cannot be.")
    assert said == f"logitleak: {found['error']}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["report", "nowhere"], "nowhere is neither the folder of a run nor of a sweep."),
        (["attack", "nowhere"], "nowhere is no run folder: there is no config.yaml in it."),
        (["run", "--set", "data.tagets=3"], 'The config has no setting "data.tagets". Did you mean "targets"?'),
        (["validate", "none.yaml"], "There is no config file none.yaml."),
        (["ls", "atack"], 'There is no kind "atack". Did you mean "attack"?'),
        (["run", "--tau", "3"], "There is no option --tau; settings are given as --set attacks.ridge.settings.tau=3"),
    ],
)  # fmt: skip
def test_a_failure(arguments: list[str], message: str, asks: Asks) -> None:
    assert asks(*arguments) == (2, {"error": message}, f"logitleak: {message}\n")


def test_arguments_that_the_parser_refuses(asks: Asks) -> None:
    code, found, said = asks("run", "--nosuch")
    assert (code, list(found)) == (2, ["error"])
    assert "--nosuch" in said


def test_an_interruption(asks: Asks, run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from logitleak.stages import run

    def interrupt(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "evaluate", interrupt)
    code, found, _ = asks("report", run_folder, "--quiet")
    assert (code, found) == (130, {"error": "Interrupted; the same command goes on from here."})


def test_what_code_of_others_prints_is_no_answer(
    run_folder: Path, asks: Asks, monkeypatch: pytest.MonkeyPatch
) -> None:
    from logitleak.stages import run

    evaluate = run.evaluate

    def chatty(*arguments: Any) -> dict[str, Any]:
        print("hello")
        return evaluate(*arguments)

    monkeypatch.setattr(run, "evaluate", chatty)
    code, _, said = asks("report", run_folder, "--quiet")
    assert (code, said) == (0, "hello\n")


def test_a_plan_in_numbers(config_file: Callable[..., Path], asks: Asks) -> None:
    code, found, said = asks("validate", config_file(), "--set", "game={design: decoys, share: 0.25}")
    assert (code, said) == (0, "")
    assert found["data"]["people"] == 6
    assert found["data"]["targets"] == 2
    assert found["data"]["public_images"] + found["data"]["private_images"] == 24
    expected = {"scheme": "fedmd", "clients": 2, "drawn": 2, "rounds": 2, "models": ["cnn"]}
    assert found["federation"] == expected
    assert found["game"] == {"design": "decoys", "worlds": 1, "share": 0.25}
    assert found["attacks"] == {"ridge": "ridge", "pli": "pli", "tbi": "tbi"}
    assert set(found["disk"]) == {"transcript", "checkpoint"}
    assert found["memory"]["most"] == max(found["memory"]["stages"].values())
    assert set(found["memory"]["stages"]) == {"federation", "ridge", "pli", "tbi", "evaluation"}
    assert found["seconds"] > 0


def test_findings_of_a_run(run_folder: Path, asks: Asks) -> None:
    code, found, _ = asks("validate", run_folder)
    assert (code, found["usable"], found["errors"], found["findings"]) == (0, True, 0, [])
    table = read_tensors(run_folder / "wire/round-02/upload.safetensors")
    table["client-1/logits"][2, 1] = float("nan")
    write_tensors(run_folder / "wire/round-02/upload.safetensors", table)
    code, found, said = asks("validate", run_folder)
    assert (code, found["usable"], found["errors"]) == (2, False, 1)
    assert found["findings"][0]["level"] == "error"
    assert found["findings"][0]["where"] == "wire/round-02"
    assert said == f"logitleak: {found['error']}\n"


def test_what_is_registered(asks: Asks) -> None:
    _, found, _ = asks("ls")
    assert found == {kind: {name: e.summary for name, e in table.items()} for kind, table in TABLES.items()}
    _, found, _ = asks("ls", "prior")
    assert list(found) == ["prior"]


def test_in_a_process(run_folder: Path, logitleak: Process) -> None:
    done = logitleak("report", run_folder, "--json")
    assert json.loads(done.stdout)["report"] == str(run_folder / "report.html")
    assert done.stderr.startswith("evaluation ...\n")


def test_without_it_nothing_of_it_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["report", "nowhere"])
    assert capsys.readouterr().out == ""


def test_what_is_printed_for_people_calls_targets_what_they_are(
    run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said() -> str:
        capsys.readouterr()
        cli.main(["report", str(run_folder)])
        return capsys.readouterr().out

    assert "of 2 people rebuilt" in said()
    config = run_folder / "config.yaml"
    config.write_text(config.read_text().replace("noun: person", "noun: body"))
    told = said()
    assert "of 2 bodies rebuilt" in told
    assert "people" not in told
