"""Same seed, same run; a killed run ends as if it had never been killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import logitleak
from logitleak.files.storage import read_tensors

Config = Callable[..., dict[str, Any]]


def everything(run: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """metrics.json but for the memory that was used, run.json, and every tensor: of the transcript, the truth, the
    attacks, and the gallery."""
    tensors = {
        f"{path.relative_to(run)}:{name}": value
        for path in sorted(run.rglob("*.safetensors"))
        for name, value in read_tensors(path).items()
    }
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics.pop("resources")["peak_memory_mib"] > 100
    return metrics | {"run.json": json.loads((run / "run.json").read_text())}, tensors


def assert_same(a: Path, b: Path) -> None:
    (metrics_a, tensors_a), (metrics_b, tensors_b) = everything(a), everything(b)
    assert metrics_a == metrics_b
    assert tensors_a.keys() == tensors_b.keys()
    assert all(torch.equal(tensors_a[name], tensors_b[name]) for name in tensors_a)


def test_same_seed_same_run(tmp_path: Path, tiny_config: Config) -> None:
    config = tiny_config()
    first, second = (logitleak.run(config, tmp_path / name).path for name in ("a", "b"))
    assert_same(first, second)
    other = logitleak.run(config | {"seed": 1}, tmp_path / "c").path
    assert everything(first)[0]["attacks"]["ridge"] != everything(other)[0]["attacks"]["ridge"]


def test_a_finished_run_is_not_done_twice(tmp_path: Path, tiny_config: Config) -> None:
    config = tiny_config()
    run = logitleak.run(config, tmp_path / "a").path
    stamps = {path: path.stat().st_mtime_ns for path in (run / "wire").rglob("*.safetensors")}
    stamps |= {path: path.stat().st_mtime_ns for path in (run / "attacks").rglob("*.safetensors")}
    logitleak.run(config, run)
    assert stamps == {path: path.stat().st_mtime_ns for path in stamps}
    assert not (run / "checkpoint").exists()


def test_what_was_to_be_removed_when_it_was_killed(
    tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Models that were kept go away even where the process died between the last of a world and their removal."""
    config = tiny_config(targets=4) | {"game": {"design": "twins"}}
    with monkeypatch.context() as patch:
        patch.setattr("logitleak.stages.federate.shutil.rmtree", kill_on_checkpoint)
        with pytest.raises(KeyboardInterrupt):
            logitleak.run(config, tmp_path / "a")
    assert list((tmp_path / "a").rglob("checkpoint"))
    logitleak.run(config, tmp_path / "a")
    assert not list((tmp_path / "a").rglob("checkpoint"))
    assert not (tmp_path / "a" / "memo").exists()


def kill_on_checkpoint(path: Path, **how: Any) -> None:
    if Path(path).name == "checkpoint":
        raise KeyboardInterrupt


def test_an_attack_can_be_added_and_not_changed(tmp_path: Path, tiny_config: Config) -> None:
    config = tiny_config() | {"attacks": ["ridge"]}
    run = logitleak.run(config, tmp_path / "a").path
    more = config | {"attacks": {"gentle": {"attack": "ridge", "settings": {"lam": 1.0}}}}
    assert {"ridge", "gentle"} <= set(logitleak.run(more, run).metrics["attacks"])
    changed = config | {"attacks": {"ridge": {"settings": {"lam": 1.0}}}}
    with pytest.raises(logitleak.UserError, match="other settings"):
        logitleak.run(changed, run)
    with pytest.raises(logitleak.UserError, match="another seed, data or federation"):
        logitleak.run(config | {"seed": 7}, run)
    assert logitleak.run(config | {"seed": 7}, run, overwrite=True).metrics["seed"] == 7


def test_interrupted_between_any_two_writes(
    tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stop at every rename in turn (a crash can happen at each), go on, and compare with a straight run."""
    config = tiny_config()
    straight = logitleak.run(config, tmp_path / "straight").path
    rename = os.replace
    calls = 0

    class Killed(BaseException):
        pass

    def counting(*args: Any, **kwargs: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == stop:
            raise Killed
        rename(*args, **kwargs)

    run, stop = tmp_path / "killed", 3
    monkeypatch.setattr("logitleak.files.atomic.os.replace", counting)
    kills = 0
    while True:
        calls = 0
        try:
            logitleak.run(config, run)
            break
        except Killed:
            kills += 1
            stop += 2  # every attempt gets a little further than the last
    assert kills > 5
    monkeypatch.undo()
    assert_same(straight, run)


@pytest.mark.slow
@pytest.mark.parametrize("delay", [1.6, 2.3, 3.1])
def test_kill_9(tmp_path: Path, tiny_config: Config, delay: float) -> None:
    """A real process, a real SIGKILL at different moments, and the same command again."""
    config = tiny_config()
    config["federation"]["rounds"] = 6
    config["attacks"]["pli"]["settings"]["steps"] = 40
    straight = logitleak.run(config, tmp_path / "straight").path
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    run = tmp_path / "killed"
    command = [sys.executable, "-m", "logitleak", "run", str(file), "--out", str(run), "--quiet"]
    for _ in range(40):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        time.sleep(delay)
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        delay += 0.5
    subprocess.run(command, check=True, capture_output=True)
    assert_same(straight, run)
