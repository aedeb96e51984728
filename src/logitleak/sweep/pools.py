"""Where the tasks of a sweep are done: what a pool is, and processes of this machine."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, get_context, parent_process
from typing import Protocol

from logitleak.sweep.compute import Task, compute, quiet_logs

DIED = "the worker process died, for want of memory perhaps; give fewer --workers"
LOST = "the machine that it was on was lost"


PRELOADED = [
    "logitleak.sweep.compute",
    "logitleak.stages.federate",
    "logitleak.stages.worlds",
    "logitleak.stages.score",
]
"""What the process imports that workers are forked from: they then begin at once, and not after seconds. Importing
starts no thread of torch, and touches no GPU."""


class Pool(Protocol):
    """Workers, of which each does one task at a time.

    Attributes:
        slots: how many tasks may be under way.
    """

    slots: int

    def submit(self, task: Task) -> None:
        """Have a task done."""

    def finished(self) -> Mapping[Task, str | None]:
        """Wait for something to end: tasks with None, or with why they failed. `DIED` and `LOST` stand for a worker and
        a machine that went without an answer."""

    def close(self) -> None:
        """Let the workers go; what is under way is given up."""


class LocalPool:
    """Processes of this machine, each of which ends with the task that it dies of and with no other.

    Args:
        workers: how many.
        gpus: how many GPUs they share; worker after worker sees one of them, in turn.
    """

    def __init__(self, workers: int, gpus: int = 0) -> None:
        self.slots = workers
        self._gpus = gpus
        self._executors: dict[int, ProcessPoolExecutor] = {}
        self._running: dict[Future[str | None], tuple[Task, int]] = {}

    def submit(self, task: Task) -> None:
        busy = {slot for _, slot in self._running.values()}
        slot = next(slot for slot in range(self.slots) if slot not in busy)
        if slot not in self._executors:
            self._executors[slot] = self._start(slot)
        try:
            future = self._executors[slot].submit(compute, task)
        except BrokenProcessPool:  # this worker died between two tasks
            self._executors[slot] = self._start(slot)
            future = self._executors[slot].submit(compute, task)
        self._running[future] = (task, slot)

    def finished(self) -> dict[Task, str | None]:
        done, _ = wait(self._running, return_when=FIRST_COMPLETED)
        results: dict[Task, str | None] = {}
        for future in done:
            task, slot = self._running.pop(future)
            try:
                results[task] = future.result()
            except BrokenProcessPool:
                results[task] = DIED
                self._executors.pop(slot).shutdown(wait=False)
        return results

    def close(self) -> None:
        busy = {slot for _, slot in self._running.values()}
        for slot, executor in self._executors.items():
            processes = list((getattr(executor, "_processes", None) or {}).values())
            executor.shutdown(wait=slot not in busy, cancel_futures=True)
            for process in processes if slot in busy else ():
                process.kill()

    def _start(self, slot: int) -> ProcessPoolExecutor:
        context = get_context("forkserver")  # a fork of a process with threads of torch may hang
        context.set_forkserver_preload(PRELOADED)
        gpu = slot % self._gpus if self._gpus > 1 else None
        return ProcessPoolExecutor(1, mp_context=context, initializer=_begin, initargs=(gpu,))


def _begin(gpu: int | None) -> None:
    """Prepare a worker before torch looks for a GPU."""
    if gpu is not None:
        shown = os.environ.get("CUDA_VISIBLE_DEVICES")
        os.environ["CUDA_VISIBLE_DEVICES"] = shown.split(",")[gpu] if shown else str(gpu)
    _follow_parent()


def _follow_parent() -> None:
    """End with the process that began the sweep, however it ends: nobody else may go on in its folder."""
    quiet_logs()
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_wait_for, args=(parent.sentinel,), daemon=True).start()


def _wait_for(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
