"""Flower's processes for a test: free ports, an environment that calls nobody, and nothing left running."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from logitleak.deploy.guide import ENVIRONMENT

_MARK = "LOGITLEAK_TEST_PROCESSES"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


class Processes:
    """Starts commands of this environment, and ends them with all that they have started.

    Args:
        folder: where logs, and Flower's own home, are.
    """

    def __init__(self, folder: Path, home: Path) -> None:
        self._folder, self._mark = folder, uuid.uuid4().hex
        self._started: list[subprocess.Popen[bytes]] = []
        self._ray = Path(tempfile.gettempdir()) / f"ray-{self._mark[:8]}"  # Ray's sockets need a short path
        here = str(Path(sys.executable).parent)
        self.environment = os.environ | ENVIRONMENT | {
            "FLWR_HOME": str(home),
            "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.2",
            "PATH": f"{here}{os.pathsep}{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
            "RAY_TMPDIR": str(self._ray),
            _MARK: self._mark,
        }  # fmt: skip

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._started:
            process.terminate()
        for process in self._started:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
        for pid in self._descendants():
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self._ray, ignore_errors=True)
        if error is not None:
            for log in sorted(self._folder.glob("*.log")):
                print(f"--- {log.name}\n{log.read_text(errors='replace')[-4000:]}")

    def start(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        """Start a process; what it says goes to ``name.log``."""
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, env=self.environment, cwd=self._folder
            )
        self._started.append(process)
        return process

    def call(self, *command: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            command, env=self.environment, cwd=self._folder, timeout=timeout, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip

    def log(self, name: str) -> str:
        """What a process has said so far."""
        return (self._folder / f"{name}.log").read_text(errors="replace")

    def _descendants(self) -> Sequence[int]:
        """Processes that carry this test's mark in their environment, and so were started by it."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/environ"):
            try:
                if f"{_MARK}={self._mark}".encode() in entry.read_bytes():
                    found.append(int(entry.parent.name))
            except OSError:  # it has ended, or is somebody else's
                continue
        return found


def wait_until(happened: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for something to be true.

    Raises:
        TimeoutError: it was not, in time.
    """
    end = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.2)


def listening(port: int) -> bool:
    """Whether somebody listens on a port of this machine."""
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex(("127.0.0.1", port)) == 0
