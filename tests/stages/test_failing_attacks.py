"""An attack that fails keeps neither its name nor the others' results."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import logitleak
from logitleak import cli
from logitleak.config import AttackConfig
from logitleak.files.storage import read_tensors, write_tensors
from logitleak.stages.run import attack_run

Config = Callable[..., dict[str, Any]]
BAD, GOOD = 1e30, 1e-3


def attacks(lr: float, **more: Any) -> dict[str, Any]:
    settings = {"width": 16, "steps": 2, "batch": 4, "lr": lr}
    return {"pli": {"attack": "pli", "settings": settings}, "ridge": {"attack": "ridge"}, **more}


@pytest.fixture
def failed(tmp_path: Path, tiny_config: Config) -> tuple[Path, dict[str, Any]]:
    """A run whose first attack failed, and its configuration."""
    config = tiny_config() | {"attacks": attacks(BAD)}
    with pytest.raises(logitleak.AttacksFailed, match=r"1 attack failed\. pli: .*not finite; lower lr"):
        logitleak.run(config, tmp_path / "run")
    return tmp_path / "run", config


def metrics(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "metrics.json").read_text())
    return found


def test_the_others_have_their_results(failed: tuple[Path, dict[str, Any]]) -> None:
    run, _ = failed
    assert set(metrics(run)["attacks"]) == {"ridge", "prior", "public-mean"}
    assert "not finite" in metrics(run)["failed"]["pli"]
    assert "The attack pli failed: The inversion loss" in (run / "report.html").read_text()


def test_the_error_holds_the_result(tmp_path: Path, tiny_config: Config) -> None:
    with pytest.raises(logitleak.AttacksFailed) as caught:
        logitleak.run(tiny_config() | {"attacks": attacks(BAD)}, tmp_path / "run")
    assert caught.value.result.accuracy("ridge") >= 0
    assert set(caught.value.failed) == {"pli"}


def test_a_retry_with_other_settings(failed: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    run, config = failed
    again = logitleak.run(config | {"attacks": attacks(GOOD)}, run)
    assert metrics(run)["failed"] == {}
    clean = logitleak.run(config | {"attacks": attacks(GOOD)}, tmp_path / "clean")
    assert again.metrics["attacks"] == clean.metrics["attacks"]
    with pytest.raises(logitleak.UserError, match="other settings"):
        logitleak.run(config | {"attacks": attacks(GOOD / 2)}, run)


def test_a_retry_by_adding(failed: tuple[Path, dict[str, Any]]) -> None:
    run, config = failed
    entry = AttackConfig.model_validate(attacks(GOOD)["pli"])
    assert "pli" in attack_run(run, "pli", entry).metrics["attacks"]
    assert set(logitleak.run(config | {"attacks": attacks(GOOD)}, run).metrics["attacks"]) >= {"pli", "ridge"}


def test_one_that_was_added_and_failed_is_forgotten_by_the_next_run(
    failed: tuple[Path, dict[str, Any]],
) -> None:
    run, config = failed
    only = config | {"attacks": {"ridge": {"attack": "ridge"}}}
    with pytest.raises(logitleak.UserError, match="not finite"):
        attack_run(run, "tbi", AttackConfig(attack="tbi", settings=attacks(BAD)["pli"]["settings"]))
    assert set(json.loads((run / "run.json").read_text())["failed"]) == {"pli", "tbi"}
    assert set(logitleak.run(only, run).metrics["attacks"]) == {"ridge", "prior", "public-mean"}
    assert list(yaml.safe_load((run / "config.yaml").read_text())["attacks"]) == ["ridge"]
    assert [path.name for path in (run / "attacks").iterdir()] == ["ridge"]


def test_one_that_fails_late_leaves_nothing_to_the_next(
    failed: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """Rounds, state and tuned settings of the attack that failed must not become the new one's."""
    run, config = failed
    good = logitleak.run(config | {"attacks": attacks(GOOD / 2)}, tmp_path / "other").path
    shutil.copytree(good / "attacks" / "pli", run / "attacks" / "pli", dirs_exist_ok=True)
    (run / "attacks" / "pli" / "attack.json").unlink()
    again = logitleak.run(config | {"attacks": attacks(GOOD)}, run)
    clean = logitleak.run(config | {"attacks": attacks(GOOD)}, tmp_path / "clean")
    assert again.metrics["attacks"] == clean.metrics["attacks"]


def test_results_in_any_world_are_kept(
    tmp_path: Path, tiny_config: Config, people: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from logitleak.attacks.ridge import Ridge
    from logitleak.errors import UserError

    calls = 0
    observe = Ridge.observe

    def second_world_fails(self: Ridge, view: Any, round: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 2:  # two rounds in a world
            raise UserError("it diverged")
        observe(self, view, round)

    config = tiny_config(people(tmp_path / "people", identities=8), targets=4)
    config |= {"game": {"design": "twins"}, "attacks": {"ridge": {"attack": "ridge"}}}
    with monkeypatch.context() as patch:
        patch.setattr(Ridge, "observe", second_world_fails)
        with pytest.raises(logitleak.AttacksFailed, match="ridge: it diverged"):
            logitleak.run(config, tmp_path / "run")
    assert (tmp_path / "run/worlds/0/attacks/ridge/attack.json").exists()
    other = {"ridge": {"attack": "ridge", "settings": {"lam": 1.0}}}
    with pytest.raises(logitleak.UserError, match="other settings"):
        logitleak.run(config | {"attacks": other}, tmp_path / "run")
    assert "ridge" in logitleak.run(config, tmp_path / "run").metrics["attacks"]


def stopped_after_a_round(config: dict[str, Any], run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin a run, and interrupt it once an attack has kept its state after round 1."""
    from logitleak.stages import attack as stage

    write_json = stage.write_json

    def stop(path: Path, value: Any) -> None:
        write_json(path, value)
        if path.name == "state-01.json":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(stage, "write_json", stop)
        with pytest.raises(KeyboardInterrupt):
            logitleak.run(config, run)


@pytest.mark.parametrize("name", ["pli", "tbi"])
def test_a_state_of_another_form_is_refused_in_one_line(
    name: str, tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Earlier versions called the tensors of their networks otherwise."""
    config = tiny_config() | {"attacks": {name: attacks(GOOD)["pli"] | {"attack": name}}}
    stopped_after_a_round(config, tmp_path / "run", monkeypatch)
    home = tmp_path / "run" / "attacks" / name
    file = home / "state-01.safetensors"
    write_tensors(file, {k.replace("/weight/", "/network/"): v for k, v in read_tensors(file).items()})
    with pytest.raises(
        logitleak.AttacksFailed, match=f"was left by another version .* delete {home} to"
    ) as caught:
        logitleak.run(config, tmp_path / "run")
    assert "\n" not in str(caught.value)
    shutil.rmtree(home)  # as it says
    again = logitleak.run(config, tmp_path / "run")
    clean = logitleak.run(config, tmp_path / "clean")
    assert again.metrics["attacks"] == clean.metrics["attacks"]


def test_a_stopped_attack_keeps_its_name(
    failed: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours of rounds must not be lost by a slip."""
    run, config = failed
    stopped_after_a_round(config | {"attacks": attacks(GOOD)}, run, monkeypatch)
    with pytest.raises(logitleak.UserError, match="other settings"):
        logitleak.run(config | {"attacks": attacks(GOOD / 2)}, run)
    assert "pli" in logitleak.run(config | {"attacks": attacks(GOOD)}, run).metrics["attacks"]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_too_little_memory_for_one_attack(
    error: Exception, tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    from logitleak.attacks.inversion import NetworkInversion

    def refuse(*args: Any) -> None:
        raise error

    monkeypatch.setattr(NetworkInversion, "observe", refuse)
    with pytest.raises(logitleak.AttacksFailed, match="pli: There is not enough memory"):
        logitleak.run(tiny_config() | {"attacks": attacks(GOOD)}, tmp_path / "run")
    assert "ridge" in metrics(tmp_path / "run")["attacks"]


def test_an_error_that_only_speaks_of_memory_is_a_fault_of_the_program(
    tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    from logitleak.attacks.inversion import NetworkInversion

    def refuse(*args: Any) -> None:
        raise RuntimeError("the shared memory manager is gone")

    monkeypatch.setattr(NetworkInversion, "observe", refuse)
    with pytest.raises(RuntimeError, match="shared memory manager"):
        logitleak.run(tiny_config() | {"attacks": attacks(GOOD)}, tmp_path / "run")


def test_the_command_line(tmp_path: Path, tiny_config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(tiny_config() | {"attacks": attacks(BAD)}))
    with pytest.raises(SystemExit) as caught:
        cli.main(["run", str(file), "--out", str(tmp_path / "run"), "--quiet"])
    said = capsys.readouterr()
    assert caught.value.code == 2
    assert said.out.strip() == str(tmp_path / "run" / "report.html")
    assert said.err.startswith(
        "logitleak: 1 attack failed. pli: The inversion loss of client 0 is not finite"
    )
    assert said.err.count("\n") == 1
