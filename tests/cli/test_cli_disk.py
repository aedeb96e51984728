"""A disk that does not take what is written, and a reader that has seen enough."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from logitleak import cli
from logitleak.files import atomic, storage

Fails = Callable[..., str]


def test_out_below_a_file(config_file: Callable[..., Path], fails: Fails, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        assert str(out) in fails("run", config_file(), "--out", out, "--quiet")


@pytest.mark.usefixtures("plain_rights")
def test_out_without_permission(config_file: Callable[..., Path], fails: Fails, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    said = fails("run", config_file(), "--out", tmp_path / "closed" / "run", "--quiet")
    assert "choose another folder" in said


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.EACCES, "No permission to write or read"),
        (errno.ENOTDIR, "There is a file where a folder is wanted"),
        (errno.EROFS, "choose another folder"),
        (errno.ENOSPC, "The disk is full"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_a_disk_that_does_not_take_it(
    number: int,
    message: str,
    config_file: Callable[..., Path],
    fails: Fails,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(number, os.strerror(number), str(target))

    with monkeypatch.context() as patch:
        patch.setattr(atomic.os, "replace", refuse)
        said = fails("run", config_file(), "--out", tmp_path / "run", "--quiet")
    assert message in said
    assert str(tmp_path / "run") in said
    assert not list((tmp_path / "run").rglob("*.partial"))


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="there is no /dev/full")
def test_a_disk_that_fills_up_while_tensors_are_written(
    config_file: Callable[..., Path], fails: Fails, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Afterwards the same command goes on."""
    write_atomic = storage.write_atomic

    def full(path: Path, write: Callable[[Path], None]) -> None:
        if "upload" in path.name:  # the temporary file is a device that is always full
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_name(f".{path.name}.{os.getpid()}.partial").symlink_to("/dev/full")
        write_atomic(path, write)

    arguments = ["run", config_file(), "--out", tmp_path / "run", "--quiet"]
    with monkeypatch.context() as patch:
        patch.setattr(storage, "write_atomic", full)
        assert "The disk is full" in fails(*arguments)
    cli.main([str(argument) for argument in arguments])
    assert (tmp_path / "run" / "report.html").exists()


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="there is no /dev/full")
def test_a_log_that_cannot_be_written_is_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import logging

    from logitleak.stages.folder import RunFolder, logged

    (tmp_path / "log.txt").symlink_to("/dev/full")
    with logged(RunFolder(tmp_path)):
        logging.getLogger("logitleak").info("lost")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("command", [["ls"], ["--version"], ["ls", "attack"]])
def test_a_reader_that_has_seen_enough_is_no_error(command: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "logitleak", *command], stdout=write, stderr=subprocess.PIPE, text=True
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (141, "")
