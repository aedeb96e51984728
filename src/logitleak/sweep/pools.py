"""Where the tasks of a sweep are done: on processes of this machine, or on a Ray cluster."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, get_context, parent_process
from typing import Any, Protocol
from urllib.parse import urlsplit

from logitleak.errors import UserError
from logitleak.sweep.compute import Task, compute, quiet_logs
from logitleak.text import printable

DIED = "the worker process died, for want of memory perhaps; give fewer --workers"


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
        """Wait for something to end: tasks with None, or with why they failed. `DIED` stands for a worker that
        went without an answer."""

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


class RayPool:
    """A Ray cluster, all of whose machines see the sweep's folder under the same path.

    Args:
        address: "auto" for the cluster of this machine, "local" for a new one, "host:port", or "ray://host:port".
        threads: cores for each task.
        gpu: whether a task wants a GPU where the cluster has some.

    Raises:
        UserError: Ray is not installed, nobody listens at the address, or no machine has so many cores.
    """

    def __init__(self, address: str, threads: int, gpu: bool = False) -> None:
        try:
            import ray
        except ImportError:
            raise UserError('Ray is not installed; install "logitleak[ray]", or use --on local.') from None
        _check_listening(address)
        self._ray = ray
        try:
            ray.init(
                address=address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False
            )
        except Exception as error:
            reason = printable(str(error), 200)
            raise UserError(
                f"No Ray cluster answers at {address} ({reason}); start one, or use --on local."
            ) from None
        largest = max((node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]), default=0)
        if threads > largest:
            ray.shutdown()
            raise UserError(
                f"A task would want {threads} cores, and the largest machine of the cluster has {largest:.0f}; "
                "give more --workers."
            )
        resources = ray.cluster_resources()
        gpus = int(resources.get("GPU", 0)) if gpu else 0
        remote = ray.remote(num_cpus=threads, num_gpus=1 if gpus else 0, max_retries=0)
        self._remote: Any = remote(compute)
        self.slots = gpus or max(1, int(resources.get("CPU", 1)) // threads)
        self._running: dict[Any, Task] = {}

    def submit(self, task: Task) -> None:
        self._running[self._remote.remote(task)] = task

    def finished(self) -> dict[Task, str | None]:
        done, _ = self._ray.wait(list(self._running), num_returns=1)
        results: dict[Task, str | None] = {}
        for reference in done:
            task = self._running.pop(reference)
            try:
                results[task] = self._ray.get(reference)
            except self._ray.exceptions.RayTaskError as error:
                results[task] = printable(str(error.cause), 300)
            except self._ray.exceptions.RayError:
                results[task] = DIED
        return results

    def close(self) -> None:
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        self._ray.shutdown()


def _check_listening(address: str) -> None:
    """Raise a `UserError` within seconds where nobody listens; Ray itself would try for minutes."""
    if address in ("auto", "local"):
        return
    parts = urlsplit(address if "://" in address else f"ray://{address}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if host is None or port is None:
        raise UserError(f'"{address}" is no Ray address; write auto, local, HOST:PORT or ray://HOST:PORT.')
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError as error:
        raise UserError(
            f"Nobody listens at the Ray address {address} ({error.strerror or error}); "
            "start a cluster there, or use --on local."
        ) from None
