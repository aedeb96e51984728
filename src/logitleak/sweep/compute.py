"""What a worker of a sweep does: simulate one federation, audit one, or attack one and score the attack.

Both go on where a killed worker stopped, and neither does anything that is already done. A worker gets plain text
and gives plain text, so that it may be a local process or run on another machine that sees the same folder.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from logitleak.errors import UserError
from logitleak.files.lock import alone
from logitleak.files.storage import read_json, write_json, write_tensors, write_text
from logitleak.machine import allocator
from logitleak.machine.memory import is_out_of_memory
from logitleak.text import printable


@dataclass(frozen=True)
class Task:
    """One piece of work.

    Attributes:
        kind: "federation", "cell", or "audit" of a federation.
        id: its content hash, the name of its folder; an audit has the folder of its federation.
        sweep: the sweep's folder.
        config: the configuration as JSON; a cell's has one attack, an audit's says where it computes and whether it is
            fast.
        federation: the federation that a cell attacks, or that is audited.
        threads: how many threads it may use. Results depend on it in the last bits.
    """

    kind: Literal["federation", "cell", "audit"]
    id: str
    sweep: str
    config: str
    federation: str
    threads: int

    @property
    def folder(self) -> Path:
        """Where it keeps what it does."""
        return folder_of(Path(self.sweep), self.kind, self.id)

    @property
    def done(self) -> bool:
        """Whether it was finished before."""
        file = self.folder / RESULT[self.kind]
        if self.kind == "audit" and file.exists():  # a full one answers what a fast one does
            return not read_json(file).get("fast") or bool(json.loads(self.config)["fast"])
        return file.exists()


RESULT = {"federation": "metrics.json", "cell": "result.json", "audit": "audit.json"}
"""The file that a finished task leaves."""

SECONDS = "seconds.json"
"""What a cell's attack took, which no two runs have alike."""


def folder_of(sweep: Path, kind: str, id: str) -> Path:
    """The folder of a federation, of its audit, or of a cell."""
    return sweep / ("cells" if kind == "cell" else "federations") / id


def compute(task: Task) -> str | None:
    """Do a task that is not done.

    Returns:
        None, or why it failed, in one line. What is behind an unforeseen failure is in the task's ``error.txt``.
    """
    if task.kind == "audit":  # which sees to it by itself that it is alone
        return None if task.done else _compute(task)
    with alone(
        task.folder, wait=True
    ):  # a worker may outlive its sweep, and be at this when the next one begins
        return None if task.done else _compute(task)


def _compute(task: Task) -> str | None:
    import torch

    allocator.own_process()
    torch.set_num_threads(task.threads)
    start = time.perf_counter()
    try:
        {"federation": _federation, "cell": _cell, "audit": _audit}[task.kind](task)
    except UserError as error:
        return str(error)
    except Exception as error:  # one bad cell must not end a sweep of hundreds
        if is_out_of_memory(error):
            return "There was not enough memory; give fewer --workers."
        write_text(task.folder / "error.txt", traceback.format_exc())
        return f"{type(error).__name__}: {printable(str(error), 300)}"
    _note(task, time.perf_counter() - start)
    return None


def _federation(task: Task) -> None:
    from logitleak.config import parse
    from logitleak.progress import Quiet
    from logitleak.stages.evaluate import evaluate
    from logitleak.stages.federate import federate
    from logitleak.stages.folder import logged, timed
    from logitleak.stages.opening import open_run

    if not (task.folder / "run.json").exists():  # what a worker left that died before it began
        shutil.rmtree(task.folder, ignore_errors=True)
    config = parse(json.loads(task.config)).model_copy(update={"attacks": {}})
    run = open_run(task.folder, config)
    with logged(run):
        with timed(run, "federation"):
            federate(config, run, Quiet())
        evaluate(run, Quiet())  # the two rivals, utility, confidence and the gallery, for all cells


def _cell(task: Task) -> None:
    import torch

    from logitleak.config import parse
    from logitleak.formats import ResultFile
    from logitleak.metrics.attack import references
    from logitleak.progress import Quiet
    from logitleak.sealed.files import read_game, read_truth
    from logitleak.stages.folder import RunFolder, World
    from logitleak.stages.nulls import nulls
    from logitleak.stages.score import members_of, score_attack, score_prior
    from logitleak.stages.worlds import attack_worlds
    from logitleak.wire.transcript import Transcript

    config = parse(json.loads(task.config))
    ((name, _),) = config.attacks.items()
    sweep = Path(task.sweep)
    run = RunFolder(folder_of(sweep, "federation", task.federation))
    worlds = run.worlds

    def home(world: World) -> Path:
        return task.folder if world.path == run.path else task.folder / "worlds" / world.path.name

    start = time.perf_counter()
    attack_worlds(run, config, name, config.device, Quiet(), home, sweep / "priors")
    spent = (seconds_of(task.folder) or 0.0) + time.perf_counter() - start
    write_json(task.folder / SECONDS, {"attack": round(spent, 2)})
    view, folders = Transcript(worlds[0].path), [home(world) for world in worlds]
    game = read_game(run.sealed)
    known = references(read_truth(run.sealed), view.knowledge.public, game)
    prior = score_prior(folders[0], known, members_of(game, known))
    found = score_attack(folders, known, game, view.rounds, Quiet(), prior)
    for t in range(1, view.rounds + 1) if len(worlds) > 1 else ():  # strips show the images in
        images = found.gallery[f"in/{folders[0].name}/{t}"].to(torch.float32).div(255)
        write_tensors(task.folder / f"round-{t:02d}.safetensors", {"images": images})
    scored = found.entry
    scored["nulls"] = nulls(view, folders[0], known, config.seed) if len(worlds) == 1 else []
    write_json(task.folder / "result.json", ResultFile.checked(scored))


def _audit(task: Task) -> None:
    from logitleak.stages.audit import audit

    asked = json.loads(task.config)
    audit(task.folder, fast=asked["fast"], device=asked["device"])


def _note(task: Task, seconds: float) -> None:
    """One line in the sweep's journal for everything that was really computed, by whom and how long."""
    line = {"kind": task.kind, "id": task.id, "process": os.getpid(), "seconds": round(seconds, 2)}
    journal = os.open(Path(task.sweep) / "journal.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(journal, (json.dumps(line) + "\n").encode())  # one write: lines of workers do not mix
    finally:
        os.close(journal)


def seconds_of(folder: Path) -> float | None:
    """What a cell's attack took so far, all commands together; None where that is not written down.

    Raises:
        UserError: the file is damaged.
    """
    path = folder / SECONDS
    if not path.exists():
        return None
    found = read_json(path)
    seconds = found.get("attack") if isinstance(found, dict) else None
    if not isinstance(seconds, (int, float)):
        raise UserError(f"{path} says no seconds; remove it, which loses nothing but times.")
    return float(seconds)


def failure_of(folder: Path) -> str | None:
    """Why a task failed when it was last tried."""
    file = folder / "failed.json"
    return str(read_json(file)["error"]) if file.exists() else None


def quiet_logs() -> None:
    """A worker's log goes to its run folder alone."""
    logging.getLogger("logitleak").propagate = False
