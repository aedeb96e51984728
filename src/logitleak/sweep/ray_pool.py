"""A Ray cluster as the place where the tasks of a sweep are done."""

from __future__ import annotations

import logging
import secrets
import shutil
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from logitleak import __version__
from logitleak.errors import UserError
from logitleak.sweep.compute import Task, compute
from logitleak.sweep.pools import DIED, LOST
from logitleak.text import printable

_MEETING = "machines"
"""The folder, in that of the sweep, in which machines show that they see the same files; it goes at once."""
_PATIENCE = 60
"""Seconds that a machine has to answer."""


class RayPool:
    """A Ray cluster, all of whose machines see the sweep's folder under the same path: each is asked to write there
    before anything is computed.

    Args:
        address: "auto" for the cluster of this machine, "local" for a new one, "host:port", or "ray://host:port".
        sweep: the sweep's folder.
        threads: cores for each task.
        gpu: whether a task wants a GPU where the cluster has some.

    Raises:
        UserError: Ray is not installed, nobody listens at the address, no machine has so many cores, or a machine does
            not see the folder or has another version of Logitleak.
    """

    def __init__(self, address: str, sweep: Path, threads: int, gpu: bool = False) -> None:
        try:
            import ray
        except ImportError:
            raise UserError('Ray is not installed; install "logitleak[ray]", or use --on local.') from None
        _check_listening(address)
        self._ray: Any = ray
        try:
            ray.init(
                address=address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False
            )
        except Exception as error:
            reason = printable(str(error), 200)
            raise UserError(
                f"No Ray cluster answers at {address} ({reason}); start one, or use --on local."
            ) from None
        try:
            self._check_machines(sweep, threads)
        except BaseException:
            ray.shutdown()
            raise
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
            except self._ray.exceptions.NodeDiedError:
                results[task] = LOST
            except self._ray.exceptions.RayError:
                results[task] = DIED
        return results

    def close(self) -> None:
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        self._ray.shutdown()

    def _check_machines(self, sweep: Path, threads: int) -> None:
        """Raise a `UserError` where a machine that would get tasks cannot do them."""
        nodes = [node for node in self._ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) > 0]
        largest = max((node["Resources"]["CPU"] for node in nodes), default=0)
        if threads > largest:
            raise UserError(
                f"A task would want {threads} cores, and the largest machine of the cluster has {largest:.0f}; "
                "give more --workers."
            )
        meeting, word = sweep / _MEETING, secrets.token_hex(16)
        meeting.mkdir(parents=True, exist_ok=True)
        try:
            (meeting / "word").write_text(word)
            asked = {node["NodeID"]: self._ask(node["NodeID"], meeting) for node in nodes}
            for node in nodes:
                name = printable(str(node["NodeManagerHostname"]), 100)
                self._check(name, asked[node["NodeID"]], meeting / node["NodeID"], word)
        finally:
            shutil.rmtree(meeting, ignore_errors=True)

    def _ask(self, node: str, meeting: Path) -> Any:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        there = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
        remote: Any = self._ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=there)
        return remote(_show).remote(str(meeting), node)

    def _check(self, name: str, asked: Any, shown: Path, word: str) -> None:
        """Raise a `UserError` unless a machine answers, has this version and shows the word where it is looked for."""
        try:
            version = self._ray.get(asked, timeout=_PATIENCE)
        except self._ray.exceptions.GetTimeoutError:
            raise UserError(
                f"The machine {name} of the Ray cluster did not answer for {_PATIENCE} s; take it out of the cluster."
            ) from None
        except self._ray.exceptions.RayError as error:
            reason = printable(str(getattr(error, "cause", error)), 200)
            raise UserError(
                f"The machine {name} of the Ray cluster cannot work ({reason}); install the same Logitleak there."
            ) from None
        if version != __version__:
            raise UserError(
                f"The machine {name} of the Ray cluster has Logitleak {version}, and this is {__version__}; install "
                "the same everywhere."
            )
        if not shown.is_file() or shown.read_text() != word:
            raise UserError(
                f"The machine {name} of the Ray cluster does not see the folder {shown.parents[1]}; give an --out that "
                "all machines share under the same path."
            )


def _show(meeting: str, node: str) -> str:
    """On a machine: copy the word that is found, and say which version this is."""
    word = Path(meeting) / "word"
    if word.is_file():
        (Path(meeting) / node).write_text(word.read_text())
    return __version__


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
