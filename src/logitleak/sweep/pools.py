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

DIED = "the worker process died, for want of memory perhaps; give fewer --workers"


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
    """Processes of this machine, as many as it has cores by default, each with its share of the threads."""

    def __init__(self, workers: int) -> None:
        self.slots = workers
        self._executor = self._start()
        self._running: dict[Future[str | None], Task] = {}

    def submit(self, task: Task) -> None:
        try:
            future = self._executor.submit(compute, task)
        except BrokenProcessPool:  # a worker died between two tasks
            self._executor = self._start()
            future = self._executor.submit(compute, task)
        self._running[future] = task

    def finished(self) -> dict[Task, str | None]:
        done, _ = wait(self._running, return_when=FIRST_COMPLETED)
        results: dict[Task, str | None] = {}
        for future in done:
            task = self._running.pop(future)
            try:
                results[task] = future.result()
            except BrokenProcessPool:
                results[task] = DIED
        if DIED in results.values():  # everything under way is lost with one process
            results.update(dict.fromkeys(self._running.values(), DIED))
            self._running.clear()
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = self._start()
        return results

    def close(self) -> None:
        processes = list((getattr(self._executor, "_processes", None) or {}).values())
        self._executor.shutdown(wait=not self._running, cancel_futures=True)
        for process in processes if self._running else ():
            process.kill()

    def _start(self) -> ProcessPoolExecutor:
        context = get_context("forkserver")  # a fork of a process with threads of torch may hang
        return ProcessPoolExecutor(self.slots, mp_context=context, initializer=_follow_parent)


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

    Raises:
        UserError: Ray is not installed, or nobody listens at the address.
    """

    def __init__(self, address: str, threads: int) -> None:
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
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"No Ray cluster answers at {address} ({reason}); start one, or use --on local."
            ) from None
        self._remote: Any = ray.remote(num_cpus=threads, max_retries=0)(compute)
        self.slots = max(1, int(ray.cluster_resources().get("CPU", 1)) // threads)
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
                results[task] = " ".join(str(error.cause).split())[:300]
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
