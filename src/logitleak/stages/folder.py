"""A run folder: where things are, what is finished, and whether it belongs to this configuration."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from logitleak import registry
from logitleak.config.recorded import RunConfig, load_run
from logitleak.errors import UserError
from logitleak.files.storage import read_json, write_json
from logitleak.formats import RunFile, TimingsFile
from logitleak.formats.reading import read_file
from logitleak.machine.allocator import keep_freed_memory
from logitleak.machine.memory import peak_bytes

FORMAT = 1


@dataclass(frozen=True)
class World:
    """One federation of a run: what travelled in it, and what attacks made of that."""

    path: Path

    @property
    def wire(self) -> Path:
        return self.path / "wire"

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint"

    def attack(self, name: str) -> Path:
        return self.path / "attacks" / name

    def attacks(self) -> list[str]:
        """Names of the finished attacks."""
        return sorted(p.parent.name for p in self.path.glob("attacks/*/attack.json"))


@dataclass(frozen=True)
class RunFolder:
    """The paths of one run, see docs/run-folder.md.

    A run of one federation is its own world. Twin worlds have a folder each, which looks the same inside.
    """

    path: Path

    @property
    def sealed(self) -> Path:
        return self.path / "sealed"

    @property
    def baselines(self) -> Path:
        """What clients alone and one model on all images say of held-out images."""
        return self.sealed / "baselines.safetensors"

    @property
    def predicted(self) -> Path:
        """What server and clients of the first world say of held-out images after the last round."""
        return self.sealed / "predicted.safetensors"

    @property
    def memo(self) -> Path:
        return self.path / "memo"

    @property
    def priors(self) -> Path:
        return self.path / "priors"

    @property
    def lab(self) -> Path:
        """What the server computes by itself, from public data."""
        return self.path / "lab"

    def plan_worlds(self, count: int) -> list[World]:
        """The worlds of a run that simulates so many federations."""
        if count == 1:
            return [World(self.path)]
        return [World(self.path / "worlds" / str(number)) for number in range(count)]

    @property
    def worlds(self) -> list[World]:
        """The worlds that there are, in order; at least one."""
        numbers = sorted(int(p.name) for p in self.path.glob("worlds/*") if p.name.isdigit())
        return [World(self.path / "worlds" / str(number)) for number in numbers] or [World(self.path)]

    def training(self, world: World) -> Path:
        """What the federation of a world says of its training. It is sealed: it comes from private data."""
        return self.sealed / (
            f"training-{world.path.name}.json" if world.path != self.path else "training.json"
        )

    def replies(self, world: World) -> Path:
        """What clients of a world would say of candidates, see `Config.candidates`. It is sealed: only a server that
        asks would know it."""
        return self.sealed / f"replies-{world.path.name if world.path != self.path else 0}"

    @property
    def audit(self) -> Path:
        """The audit's scores and files."""
        return self.path / "audit"

    def refuse_unfinished(self, worlds: int) -> None:
        """Raise a `UserError` unless there are as many worlds as the configuration has."""
        if len(self.worlds) != worlds:
            raise UserError(
                f"{self.path} has {len(self.worlds)} of {worlds} worlds; finish it first, with the `logitleak run` "
                "that began it."
            )

    def attacks(self) -> list[str]:
        """Names of the attacks that are finished in every world."""
        finished = [set(world.attacks()) for world in self.worlds]
        return sorted(set.intersection(*finished))

    def failed(self) -> dict[str, str]:
        """The attacks that failed when they were last tried, and why."""
        found: dict[str, str] = self.status().get("failed", {})
        return found

    def has_results(self, name: str) -> bool:
        """Whether something would be lost with an attack: it is finished in a world, or was stopped after a round. What
        one left that failed is no result."""
        left = "attack.json" if name in self.failed() else "round-*"
        return any(any(world.attack(name).glob(left)) for world in self.worlds)

    def status(self) -> dict[str, Any]:
        """``run.json``; empty where there is none.

        Raises:
            UserError: it is damaged, or holds what this version does not know.
        """
        file = self.path / "run.json"
        if not file.exists():
            return {}
        status: dict[str, Any] = read_json(file)
        try:
            return RunFile.checked(status)
        except ValidationError as error:
            raise UserError(
                f"{registry.describe(error, str(file), RunFile)} Mend it, or go on with the version that wrote it."
            ) from None

    def update(self, **changes: Any) -> None:
        """Change entries of ``run.json``."""
        status = {"format": FORMAT, **self.status(), **changes}
        write_json(self.path / "run.json", RunFile.checked(status))

    def config(self) -> RunConfig:
        """The configuration that the run was made with.

        Raises:
            UserError: this is no run folder.
        """
        file = self.path / "config.yaml"
        if not file.is_file():
            hint = ""
            if (self.path / "manifest.json").is_file() or (self.path / "wire").is_dir():
                hint = f"; give its transcript one with `logitleak import {self.path} --out RUN`"
            raise UserError(f"{self.path} is no run folder: there is no config.yaml in it{hint}.")
        return load_run(file)

    def refuse_deployed(self) -> None:
        """Raise a `UserError` where real clients were recorded, or are being recorded: nobody can do that again."""
        if self.status().get("deployed"):
            raise UserError(
                f"{self.path} records a federation of real clients; use `logitleak attack` on it, or choose another "
                "--out."
            )

    def time(self, stage: str, seconds: float) -> None:
        """Add to the seconds of a stage, and keep the peak memory of the process."""
        timings = self.timings()
        timings[f"{stage}_seconds"] = round(seconds + timings.get(f"{stage}_seconds", 0.0), 2)
        timings["peak_memory_mib"] = self.peak_memory_mib()
        timings["threads"] = torch.get_num_threads()
        write_json(self.path / "timings.json", TimingsFile.checked(timings))

    def peak_memory_mib(self) -> int:
        """The most memory that any process held that worked on this run so far, this one included, in MiB."""
        return max(round(peak_bytes() / 2**20), self.timings().get("peak_memory_mib", 0))

    def timings(self) -> dict[str, Any]:
        """``timings.json``; empty where there is none.

        Raises:
            UserError: it is damaged.
        """
        file = self.path / "timings.json"
        return read_file(file, TimingsFile) if file.exists() else {}


@contextmanager
def timed(run: RunFolder, stage: str) -> Iterator[None]:
    """Time a stage into ``timings.json``; what an interrupted stage took is not kept."""
    run.timings()  # a damaged file is told before hours of work, not after
    start = time.perf_counter()
    yield
    run.time(stage, time.perf_counter() - start)


class _FileHandler(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:
        """Say nothing: a log that cannot be written, on a full disk, must not print tracebacks."""

    def close(self) -> None:
        """Closing flushes what could not be written; what matters was written elsewhere, or has failed there."""
        with suppress(OSError):
            super().close()


@contextmanager
def logged(run: RunFolder) -> Iterator[None]:
    """Send the package's log to ``log.txt`` of a run."""
    handler = _FileHandler(run.path / "log.txt", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("logitleak")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()


def choose_device(name: str) -> torch.device:
    """``auto``, ``cpu`` or ``cuda`` to a device, made ready for training.

    Raises:
        UserError: CUDA is asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("There is no CUDA device here; set device to cpu or auto.")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cpu":
        keep_freed_memory()
    return torch.device(name)
