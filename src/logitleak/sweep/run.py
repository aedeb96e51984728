"""A whole sweep: what is to be done, in which order, and what became of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from logitleak import __version__, report
from logitleak.config import parse
from logitleak.errors import UserError
from logitleak.files.lock import LOCK, Locked, locked
from logitleak.files.storage import read_json, write_json
from logitleak.progress import Progress
from logitleak.stages.federate import check_images
from logitleak.stages.folder import RunFolder
from logitleak.sweep.cells import Cell, expand
from logitleak.sweep.compute import Task, failure_of
from logitleak.sweep.config import Sweep
from logitleak.sweep.pools import DIED, LOST, LocalPool, Pool
from logitleak.sweep.ray_pool import RayPool
from logitleak.sweep.table import write_table

FORMAT = 1


@dataclass(frozen=True)
class SweepResult:
    """What a sweep left.

    Attributes:
        path: its folder.
        report: its page.
        cells: how many there are.
        failed: the cells that failed, with the reason.
        unaudited: the federations whose audit failed, with the reason.
    """

    path: Path
    report: Path
    cells: int
    failed: dict[str, str]
    unaudited: dict[str, str]


def run_sweep(
    sweep: Sweep,
    out: Path,
    progress: Progress,
    *,
    on: str = "local",
    workers: int | None = None,
    ray_address: str = "auto",
) -> SweepResult:
    """Compute every cell that is not computed yet, and write table and report.

    Cells are kept by content: a sweep with another grid may use the same folder, and finds what the two share.

    Args:
        sweep: what `logitleak.sweep.config.load` gave.
        out: the sweep's folder.
        progress: where it reports to.
        on: "local" for processes of this machine, "ray" for a cluster.
        workers: how many processes; one on each core by default, one on each GPU where tasks compute on one. On
            a cluster: into how many tasks the cores of this machine would be divided, which decides the threads.
        ray_address: see `RayPool`.

    Raises:
        UserError: a cell's configuration is not valid, another sweep is at work in the folder, or there is no
            cluster.
    """
    cells = expand(sweep)
    out = out.resolve()  # workers on a cluster have another working folder
    gpus = _gpus(cells)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = workers or gpus or cores
    threads = max(1, cores // workers)
    if out.exists() and any(out.iterdir()) and not (out / "sweep.json").exists():
        raise UserError(f"{out} is not empty and no sweep; choose another --out.")
    out.mkdir(parents=True, exist_ok=True)
    with _alone(out):
        _tell_of_others(out, progress)
        _write_plan(sweep, cells, out)
        todo = _Todo(cells, out, threads, sweep)
        todo.check_images()
        if todo.anything():
            pool: Pool = (
                LocalPool(workers, gpus) if on == "local" else RayPool(ray_address, out, threads, gpus > 0)
            )
            try:
                _work(todo, pool, progress)
            finally:
                pool.close()
        page = build_report(out)
    count = len({cell.id for cell in cells})
    return SweepResult(out, page, count, todo.failures("cell"), todo.failures("audit"))


def _gpus(cells: Sequence[Cell]) -> int:
    """How many GPUs of this machine the cells may use."""
    if all(cell.config.device == "cpu" for cell in cells):
        return 0
    import torch

    return torch.cuda.device_count()


def build_report(out: Path) -> Path:
    """Table and report of a sweep, from what is there."""
    write_table(out)
    return report.build_sweep(out)


class _Todo:
    """Tasks by what they wait for."""

    def __init__(self, cells: Sequence[Cell], out: Path, threads: int, sweep: Sweep) -> None:
        self._attempts: dict[tuple[str, str], int] = {}
        self._retries = sweep.retries
        self._federations: dict[str, Task] = {}
        # by kind and id, cells and audits: what waits for a federation
        self._dependent: dict[tuple[str, str], Task] = {}
        for cell in cells:
            config = cell.config.model_dump(mode="json")
            if config["data"]["root"] is not None:
                config["data"]["root"] = os.path.abspath(config["data"]["root"])
            known = json.dumps(config | {"attacks": {}})
            self._federations.setdefault(
                cell.federation,
                Task("federation", cell.federation, str(out), known, cell.federation, threads),
            )
            task = Task("cell", cell.id, str(out), json.dumps(config), cell.federation, threads)
            self._dependent.setdefault((task.kind, task.id), task)
            if sweep.audit != "none":
                how = json.dumps({"fast": sweep.audit == "fast", "device": cell.config.device})
                audit = Task("audit", cell.federation, str(out), how, cell.federation, threads)
                self._dependent.setdefault((audit.kind, audit.id), audit)
        self.total = sum(not task.done for task in self._dependent.values())
        self._waiting = [task for task in self._dependent.values() if not task.done]
        needed = {task.federation for task in self._waiting}
        self._ready = [t for id, t in self._federations.items() if id in needed and not t.done]
        self._release()

    def check_images(self) -> None:
        """Raise a `UserError` where images have changed since a federation was finished: results would be of both."""
        for task in self._federations.values():
            if task.done:
                check_images(parse(json.loads(task.config)), RunFolder(task.folder))

    def anything(self) -> bool:
        return bool(self._ready or self._waiting)

    def next(self) -> Task | None:
        """A task whose needs are met: a cell or audit before a federation, so that what is begun is finished first."""
        cells = [task for task in self._ready if task.kind != "federation"]
        if not self._ready:
            return None
        task = (cells or self._ready)[0]
        self._ready.remove(task)
        for left in ("failed.json", "error.txt"):
            (task.folder / left).unlink(missing_ok=True)
        return task

    def ended(self, task: Task, failure: str | None) -> str:
        """Note how a task ended, and say it; what died is tried again."""
        if failure in (DIED, LOST):
            name = (task.kind, task.id)
            self._attempts[name] = self._attempts.get(name, 0) + 1
            if self._attempts[name] <= self._retries:
                self._ready.append(task)
                return "died and is tried again"
        if failure is None and not task.done:
            failure = (
                "It was computed, and its result is not in the sweep's folder; all machines must see it."
            )
        if failure is not None:
            self._fail(task, failure)
        self._release()
        return "finished" if failure is None else f"failed: {failure}"

    def failures(self, kind: str) -> dict[str, str]:
        """The tasks of a kind that failed in this sweep, with the reason."""
        tasks = [task for task in self._dependent.values() if task.kind == kind and not task.done]
        found = {task.id: failure_of(task.folder) for task in tasks}
        return {id: reason for id, reason in found.items() if reason is not None}

    def _fail(self, task: Task, failure: str) -> None:
        write_json(task.folder / "failed.json", {"error": failure})
        if task.kind == "federation":
            for cell in [cell for cell in self._waiting if cell.federation == task.id]:
                self._waiting.remove(cell)
                write_json(cell.folder / "failed.json", {"error": f"Its federation failed: {failure}"})

    def _release(self) -> None:
        """Cells whose federation is finished are ready."""
        for cell in list(self._waiting):
            if self._federations[cell.federation].done:
                self._waiting.remove(cell)
                self._ready.append(cell)


def _work(todo: _Todo, pool: Pool, progress: Progress) -> None:
    progress.stage("sweep", todo.total)
    running = 0
    while True:
        while running < pool.slots and (task := todo.next()) is not None:
            pool.submit(task)
            running += 1
        if running == 0:
            return
        for task, failure in pool.finished().items():
            running -= 1
            end = todo.ended(task, failure)
            if end != "finished":
                progress.note(f"{task.kind} {task.id} {end}")
            final = task.kind != "federation" and not end.startswith("died")
            progress.advance(f"{task.kind} {task.id}", steps=int(final))


def _tell_of_others(out: Path, progress: Progress) -> None:
    """Say where a sweep is computed anew because another version of the tool began it."""
    plan = out / "sweep.json"
    begun_by = read_json(plan).get("version", "an earlier version") if plan.exists() else __version__
    if begun_by != __version__:
        progress.note(
            f"{out} was begun by Logitleak {begun_by}; this is {__version__}, and computes every cell anew."
        )


def _write_plan(sweep: Sweep, cells: Sequence[Cell], out: Path) -> None:
    """``sweep.json``: the grid, what the report shows, and every cell with its place in the grid."""
    listed = [
        {"id": cell.id, "federation": cell.federation, "axes": cell.axes, "seed": cell.config.seed}
        for cell in cells
    ]
    write_json(
        out / "sweep.json",
        {
            "format": FORMAT,
            "version": __version__,
            "title": sweep.title,
            "base": sweep.base,
            "grid": sweep.grid,
            "show": [show.model_dump(mode="json") for show in sweep.show],
            "cells": listed,
        },
    )


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Hold the sweep's folder."""
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(out / LOCK, wait=False))
        except Locked as taken:
            raise UserError(
                f"Another sweep is at work in {out} ({taken.holder}); wait for it, or choose another --out."
            ) from None
        yield
