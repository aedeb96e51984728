"""A simulation that is ended as a signal would end it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import logitleak
from logitleak.stages.simulation import Simulation


class Killed(BaseException):
    """Ends a run as a signal would."""


def kill_in_round_2(given: dict[str, Any], run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin a run, and end it once round 2 was played and before anything of it is kept."""
    measure = Simulation._measure

    def killed_in_round_2(self: Simulation, round: int) -> None:
        if round == 2:
            raise Killed
        measure(self, round)

    with monkeypatch.context() as patch:
        patch.setattr(Simulation, "_measure", killed_in_round_2)
        with pytest.raises(Killed):
            logitleak.run(given, run)


def resumed_equals_straight(given: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Assert that a run that was killed and went on left the transcript of one that was not, byte for byte; of how many
    files."""
    logitleak.run(given, folder / "straight")
    kill_in_round_2(given, folder / "resumed", monkeypatch)
    logitleak.run(given, folder / "resumed")
    files = sorted((folder / "straight" / "wire").rglob("*.safetensors"))
    for path in files:
        other = folder / "resumed" / path.relative_to(folder / "straight")
        assert other.read_bytes() == path.read_bytes(), path.name
    return len(files)
