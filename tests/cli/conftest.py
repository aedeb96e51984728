"""What tests of the command line need: a finished run, a configuration, and the line that a mistake gets."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from logitleak import cli

People = Callable[..., Path]
Fails = Callable[..., str]
Process = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Fails:
    """Run the command line, expect one line of error and exit code 2, and return the line."""

    def call(*arguments: str | Path) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            cli.main([str(argument) for argument in arguments])
        said = capsys.readouterr().err
        assert caught.value.code == 2
        assert re.fullmatch(r"logitleak: [^\n]+\n", said), said
        return said.strip()

    return call


@pytest.fixture
def config_file(tmp_path: Path, tiny_config: Callable[..., dict[str, Any]]) -> Callable[..., Path]:
    """Write a tiny configuration to a file. Keyword arguments change the data section."""

    def write(root: Path | None = None, **data: Any) -> Path:
        file = tmp_path / "config.yaml"
        file.write_text(yaml.safe_dump(tiny_config(root, **data), sort_keys=False))
        return file

    return write


@pytest.fixture(scope="session")
def finished(
    tmp_path_factory: pytest.TempPathFactory, people: People, tiny_config: Callable[..., dict[str, Any]]
) -> Path:
    """A finished run on six people, one of whose images is damaged; do not change it."""
    folder = tmp_path_factory.mktemp("finished")
    root = people(folder / "people")
    (root / "person-02" / "1.png").write_bytes(b"\x89PNG broken")
    (folder / "config.yaml").write_text(yaml.safe_dump(tiny_config(root)))
    cli.main(["run", str(folder / "config.yaml"), "--out", str(folder / "run"), "--quiet"])
    return folder / "run"


@pytest.fixture
def run_folder(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished run, to be damaged."""
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture(scope="session")
def logitleak() -> Process:
    """The command line in a process of its own."""

    def call(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "logitleak", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return call
