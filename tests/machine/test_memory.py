"""What this tool does to the process that it runs in, and what it calls a want of memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from logitleak.cli import command as cli
from logitleak.machine.memory import is_out_of_memory

WATCH = """
import ctypes, sys

class Mallopt:
    calls = 0
    def __call__(self, option, value):
        Mallopt.calls += 1
        return 1

class Library:
    mallopt = Mallopt()

ctypes.CDLL = lambda name, *rest, **more: Library()
"""


def calls(code: str) -> int:
    """How often a fresh process that runs this sets an option of malloc."""
    done = subprocess.run(
        [sys.executable, "-c", f"import torch\n{WATCH}\n{code}\nprint(Mallopt.calls)"],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return int(done.stdout.split()[-1])


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="malloc's options are set on Linux alone")
def test_the_python_api_leaves_malloc_alone(
    tmp_path: Path, tiny_config: Callable[..., dict[str, Any]]
) -> None:
    config = {**tiny_config(), "attacks": {}}
    assert calls(f"import logitleak; logitleak.run({config!r}, {str(tmp_path / 'run')!r})") == 0
    load = "from logitleak.stages.check import check\nfrom logitleak.config import parse"
    assert calls(f"{load}\ncheck(parse({config!r}))") == 0


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="malloc's options are set on Linux alone")
def test_the_command_line_and_workers_keep_memory(tmp_path: Path) -> None:
    use = "from logitleak.stages.folder import choose_device; choose_device('cpu')"
    assert calls(use) == 0
    assert calls(f"from logitleak import cli; cli.main(['ls', 'scheme']); {use}") > 0
    task = f"Task('cell', 'a', {str(tmp_path)!r}, 'null', 'b', 1)"
    assert calls(f"from logitleak.sweep.compute import Task, compute; compute({task}); {use}") > 0


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you"), True),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be"), True),
        (RuntimeError("shared memory manager died"), False),
        (RuntimeError("expected channels_last memory format"), False),
        (ValueError("DefaultCPUAllocator: can't allocate memory"), False),
    ],
)  # fmt: skip
def test_what_counts_as_out_of_memory(error: BaseException, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


def test_torch_still_says_it_like_this() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**15)
    assert is_out_of_memory(caught.value)


def test_the_command_line_tells_them_apart(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def raises(error: BaseException) -> Callable[[], None]:
        def command() -> None:
            raise error

        return command

    monkeypatch.setitem(
        cli._COMMANDS, "ls", raises(RuntimeError("DefaultCPUAllocator: can't allocate memory"))
    )
    with pytest.raises(SystemExit) as ended:
        cli.main(["ls"])
    assert ended.value.code == 2
    assert "There is not enough memory" in capsys.readouterr().err
    monkeypatch.setitem(cli._COMMANDS, "ls", raises(RuntimeError("shared memory manager died")))
    with pytest.raises(RuntimeError, match="shared memory manager"):
        cli.main(["ls"])
    assert "not enough memory" not in capsys.readouterr().err
