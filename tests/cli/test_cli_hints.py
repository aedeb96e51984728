"""What is said of common slips, what help says, and what is said before a run begins."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from logitleak import cli
from logitleak.files.storage import read_json
from logitleak.stages import pace

Fails = Callable[..., str]
Process = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize(
    ("arguments", "how"),
    [
        (["run", "--targets", "3"], "--set data.targets=3"),
        (["run", "--targets=3"], "--set data.targets=3"),
        (["run", "--data.targets", "3"], "--set data.targets=3"),
        (["run", "--image-size", "32"], "--set data.image_size=32"),
        (["run", "--tau", "3"], "--set attacks.ridge.settings.tau=3"),
        (["validate", "--rounds", "3"], "--set federation.rounds=3"),
        (["sweep", "grid.yaml", "--clients"], "--set federation.clients=VALUE"),
        (["attack", "run", "--tau", "3"], "--set tau=3"),
        (["attack", "run", "--attack", "pli", "--gamma", "0"], "--set gamma=0"),
        (["attack", "run", "--prior", "paired", "--steps", "9"], "--prior-set steps=9"),
    ],
)
def test_a_setting_given_as_an_option(arguments: list[str], how: str, fails: Fails) -> None:
    option = next(a for a in arguments if a.startswith("--") and a not in ("--attack", "--prior"))
    said = fails(*arguments)
    assert said == f"logitleak: There is no option {option.partition('=')[0]}; settings are given as {how}"


def test_a_misspelled_option_is_left_to_the_parser(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["run", "--quite"])
    assert "--quiet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("override", "meant"),
    [
        ("targets=3", '"data.targets"'),
        ("clients=3", '"federation.clients"'),
        ("rounds=3", '"federation.rounds"'),
        ("worlds=4", '"game.worlds"'),
        ("data.clients=3", '"federation.clients"'),
        ("settings={}", '"data.settings" or "federation.settings"'),
        ("prior=mean", '"attacks.ridge.prior" or "attacks.pli.prior" or "attacks.tbi.prior"'),
        ("width=8", '"attacks.pli.settings.width" or "attacks.tbi.settings.width"'),
        ("attacks.ridge.tau=3", '"attacks.ridge.settings.tau"'),
        ("attacks.ridge.priro=mean", '"prior"'),
    ],
)
def test_a_setting_without_its_section(
    override: str, meant: str, config_file: Callable[..., Path], fails: Fails
) -> None:
    key = override.partition("=")[0]
    said = fails("validate", config_file(), "--set", override)
    assert said == f'logitleak: The config has no setting "{key}". Did you mean {meant}?'


def test_settings_of_a_prior(run_folder: Path, fails: Fails) -> None:
    said = fails("attack", run_folder, "--name", "x", "--prior", "paired", "--prior-set", "steps=0")
    assert '"steps": Input should be greater than 0' in said
    said = fails("attack", run_folder, "--name", "x", "--prior", "paired", "--prior-set", "stps=1")
    assert 'has no setting "stps". Did you mean "steps"?' in said


def test_a_device_is_asked_for(
    config_file: Callable[..., Path], tmp_path: Path, fails: Fails, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "There is no CUDA device here" in fails(
        "run", config_file(), "--out", tmp_path / "run", "--device", "cuda"
    )


COMMANDS = ["run", "attack", "sweep", "report", "import", "export", "ls", "validate"]
COMMANDS += ["data synth", "data prepare", "data show", "deploy init", "deploy split", "deploy keys"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_defaults_where_there_are_any(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main([*command.split(), "--help"])
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "default: None" not in said
    assert "default: False" not in said
    assert "default: )" not in said


@pytest.mark.parametrize(
    ("command", "usage"),
    [("run", "[CONFIG]"), ("attack", "RUN"), ("sweep", "CONFIG"), ("validate", "[PATH]")],
)
def test_positionals_have_names(command: str, usage: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    assert usage in capsys.readouterr().out.splitlines()[0]


def test_a_run_says_where_and_how_long(
    config_file: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["run", str(config_file()), "--out", str(tmp_path / "run"), "--set", "attacks=[]"]
    cli.main(command)
    first, *_ = capsys.readouterr().err.splitlines()
    where = re.escape(str(tmp_path / "run"))
    assert re.fullmatch(
        rf"The run is written to {where}; its federation takes about \d+ (s|min) here\.", first
    )
    cli.main(command)
    first, *_ = capsys.readouterr().err.splitlines()
    assert first == f"The run is written to {tmp_path / 'run'}; its federation is there."


def test_a_quiet_run_times_nothing(
    config_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any) -> float:
        raise AssertionError("nobody reads it")

    monkeypatch.setattr(pace, "median_step", refuse)
    command = ["run", str(config_file()), "--out", str(tmp_path / "run"), "--set", "attacks=[]", "--quiet"]
    cli.main(command)
    assert read_json(tmp_path / "run" / "run.json")["federated"] is True


def test_help_imports_neither_torch_nor_pydantic(logitleak: Process) -> None:
    """Choices that help shows are told once, where nothing heavy is imported for them."""
    import sys

    code = "import sys, logitleak.cli.command; print({'torch', 'pydantic', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
    assert "mock-targets" in logitleak("run", "--help").stdout
