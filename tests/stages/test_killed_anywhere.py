"""Killed at any change of the disk, whatever it is, and given again: the run ends as if it had never been killed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_resume import assert_same

import logitleak
from logitleak.config import AttackConfig
from logitleak.stages.run import attack_run

Config = Callable[..., dict[str, Any]]


class Killed(BaseException):
    """Ends a run as a signal would."""


class Killer:
    """Ends the process at one of its changes of the disk, before it or after it."""

    def __init__(self) -> None:
        self.changes = 0
        self.stop = 0

    def at(self, change: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.changes += 1
            if self.changes == self.stop:
                raise Killed
            found = change(*args, **kwargs)
            self.changes += 1
            if self.changes == self.stop:
                raise Killed
            return found

        return counted


@contextmanager
def killing() -> Iterator[Killer]:
    """Renaming, removing and putting files in place are what can be killed in between."""
    killer = Killer()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", killer.at(os.replace))
        patch.setattr(Path, "rename", killer.at(Path.rename))
        patch.setattr(Path, "unlink", killer.at(Path.unlink))
        patch.setattr(shutil, "rmtree", killer.at(shutil.rmtree))
        yield killer


def work(config: dict[str, Any], run: Path) -> None:
    """A run, and an attack that is added."""
    logitleak.run(config, run)
    attack_run(run, "added", AttackConfig(attack="ridge", settings={"lam": 1.0}))


@pytest.fixture(scope="module")
def config(tiny_config: Config) -> dict[str, Any]:
    made = tiny_config()
    return made | {"attacks": {"pli": made["attacks"]["pli"]}}


@pytest.fixture(scope="module")
def straight(config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("straight") / "run"
    work(config, run)
    return run


@pytest.mark.slow
@settings(max_examples=2, deadline=None, derandomize=True)
@given(st.data())
def test_killed_anywhere(straight: Path, config: dict[str, Any], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name, killing() as killer:
        run = Path(name) / "run"
        kills = 0
        while kills < 4:  # four kills, each at any of the changes that one attempt makes
            killer.changes, killer.stop = 0, data.draw(st.integers(1, 400))
            try:
                work(config, run)
                break
            except Killed:
                kills += 1
        killer.stop = 0
        work(config, run)
        assert_same(straight, run)
        assert not list(Path(name).rglob("*.partial")), list(Path(name).rglob("*.partial"))
