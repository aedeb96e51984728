"""A run folder: where things are, what is finished, and whether it belongs to this configuration."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from logitleak.allocator import keep_freed_memory
from logitleak.errors import UserError
from logitleak.memory import peak_bytes
from logitleak.recorded import RunConfig, load_run
from logitleak.storage import read_json, write_json, write_text

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

    def status(self) -> dict[str, Any]:
        """``run.json``; empty where there is none."""
        file = self.path / "run.json"
        status: dict[str, Any] = read_json(file) if file.exists() else {}
        return status

    def update(self, **changes: Any) -> None:
        """Change entries of ``run.json``."""
        write_json(self.path / "run.json", {"format": FORMAT, **self.status(), **changes})

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
        timings = self._timings()
        timings[f"{stage}_seconds"] = round(seconds + timings.get(f"{stage}_seconds", 0.0), 2)
        timings["peak_memory_mib"] = self.peak_memory_mib()
        timings["threads"] = torch.get_num_threads()
        write_json(self.path / "timings.json", timings)

    def peak_memory_mib(self) -> int:
        """The most memory that any process held that worked on this run so far, this one included, in MiB."""
        return max(round(peak_bytes() / 2**20), self._timings().get("peak_memory_mib", 0))

    def _timings(self) -> dict[str, Any]:
        file = self.path / "timings.json"
        timings: dict[str, Any] = read_json(file) if file.exists() else {}
        return timings


@contextmanager
def timed(run: RunFolder, stage: str) -> Iterator[None]:
    """Time a stage into ``timings.json``; what an interrupted stage took is not kept."""
    start = time.perf_counter()
    yield
    run.time(stage, time.perf_counter() - start)


def open_run(path: Path, config: RunConfig, overwrite: bool) -> RunFolder:
    """Create a run folder, or go on with one of the same configuration.

    Attacks may be added to a finished federation; a changed federation, or a changed attack of the same
    name, is refused, so that nothing is lost by a slip.

    Raises:
        UserError: the folder belongs to another configuration, or cannot be written.
    """
    run = RunFolder(path)
    if path.exists() and not (path / "run.json").exists() and any(path.iterdir()):
        raise UserError(f"{path} is not empty and no run folder; choose another --out.")
    status = run.status()
    begun = any(world.checkpoint.exists() for world in run.worlds) or any(run.sealed.glob("training*.json"))
    if not (status.get("federated") or status.get("deployed") or begun):
        status = {}  # nothing was computed yet, so nothing can be lost
    conflict = _conflict(status, config)
    if conflict is not None and not overwrite:
        raise UserError(f"{path} holds {conflict} choose another --out, or give --overwrite.")
    if conflict is not None:
        shutil.rmtree(path)
        status = {}
    path.mkdir(parents=True, exist_ok=True)
    if not os.access(path, os.W_OK):
        raise UserError(f"{path} cannot be written; choose another --out.")
    known = dict(run.config().attacks) if status else {}
    merged = config.model_copy(update={"attacks": known | config.attacks})
    write_text(path / "config.yaml", merged.to_yaml())
    hashes = {name: merged.attack_hash(name) for name in merged.attacks}
    # once there are attacks, the primary one stays: it was named before anybody looked at the truth
    primary = status.get("primary") or merged.headline
    run.update(federation=config.federation_hash(), attacks=hashes, primary=primary)
    return run


class _FileHandler(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:
        """Say nothing: a log that cannot be written, on a full disk, must not print tracebacks."""

    def close(self) -> None:
        """Closing flushes what could not be written; what matters was written elsewhere, or has failed there."""
        with suppress(OSError):
            super().close()


def _conflict(status: dict[str, Any], config: RunConfig) -> str | None:
    """What a folder holds that is not of this configuration, as the start of a sentence; None if nothing."""
    if status and status.get("federation") != config.federation_hash():
        return "a run with another seed, data or federation;"
    for name in config.attacks:
        if status.get("attacks", {}).get(name, config.attack_hash(name)) != config.attack_hash(name):
            return f'an attack "{name}" with other settings; give this one another name,'
    return None


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
