"""What an early end leaves behind must not mix with what comes after it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import logitleak
from logitleak import config as configs
from logitleak.files.storage import read_tensors
from logitleak.stages import simulation

Config = Callable[..., dict[str, Any]]


class Killed(BaseException):
    """Ends a run as a signal would."""


def kill_in_round_zero(monkeypatch: pytest.MonkeyPatch, config: dict[str, Any], out: Path) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(simulation.Simulation, "_measure", lambda self, round: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            logitleak.run(config, out)
    assert (out / "wire" / "public.safetensors").exists()


def test_another_seed_after_an_early_end_starts_afresh(
    tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the old public set, with the new targets' private images in it, would meet the new uploads."""
    config = tiny_config() | {"attacks": ["ridge"]}
    kill_in_round_zero(monkeypatch, config, tmp_path / "run")
    other = config | {"seed": 3}
    restarted = logitleak.run(other, tmp_path / "run").path
    clean = logitleak.run(other, tmp_path / "clean").path
    for name in ("wire/public.safetensors", "sealed/truth.safetensors", "wire/round-01/upload.safetensors"):
        a, b = read_tensors(restarted / name), read_tensors(clean / name)
        assert all(torch.equal(a[key], b[key]) for key in b), name


def test_changed_images_are_noticed(
    tmp_path: Path, tiny_config: Config, people: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = people(tmp_path / "people")
    config = tiny_config(folder) | {"attacks": ["ridge"]}
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(simulation.Simulation, "confidence", lambda self: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            logitleak.run(config, out)
    people(folder, seed=9)
    with pytest.raises(logitleak.UserError, match="images have changed"):
        logitleak.run(config, out)


@pytest.mark.parametrize("removed", ["run.json", "wire", "config.yaml"])
def test_a_run_that_was_being_replaced_when_the_process_was_killed(
    removed: str, tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is gone by then, the folder can be replaced, and half a run is not taken for a whole one."""
    config = tiny_config() | {"attacks": ["ridge"]}
    out, other = tmp_path / "run", config | {"seed": 3}
    logitleak.run(config, out)
    with monkeypatch.context() as patch:
        unlink, rmtree = Path.unlink, shutil.rmtree

        def killed(path: Path, remove: Callable[..., None], *rest: Any, **named: Any) -> None:
            remove(path, *rest, **named)
            if Path(path).parent == out and Path(path).name == removed:
                raise Killed

        patch.setattr(Path, "unlink", lambda path, **named: killed(path, unlink, **named))
        patch.setattr(shutil, "rmtree", lambda path, *rest, **named: killed(path, rmtree, *rest, **named))
        with pytest.raises(Killed):
            logitleak.run(other, out, overwrite=True)
    assert not (out / "run.json").exists()
    if removed != "config.yaml":  # the last
        with pytest.raises(logitleak.UserError, match="what a killed command left of a run; .* --overwrite"):
            logitleak.run(config, out)
    again = logitleak.run(other, out, overwrite=True)
    assert (again.path / "run.json").is_file()
    assert again.metrics["config"]["seed"] == 3


@pytest.mark.parametrize("written", ["run.json", "config.yaml"])
def test_a_run_that_was_being_begun_when_the_process_was_killed(
    written: str, tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        replace = os.replace

        def killed(source: Any, target: Any) -> None:
            replace(source, target)
            if Path(target).name == written:
                raise Killed

        patch.setattr(os, "replace", killed)
        with pytest.raises(Killed):
            logitleak.run(tiny_config() | {"attacks": []}, tmp_path / "run")
    assert logitleak.run(tiny_config() | {"attacks": [], "seed": 4}, tmp_path / "run").report.is_file()


@pytest.mark.parametrize("mine", ["notes.txt", None])
def test_what_is_not_left_of_a_run_is_never_removed(
    mine: str | None, tmp_path: Path, tiny_config: Config
) -> None:
    """Neither a folder with other things, nor one that has a configuration as its owner wrote it."""
    (tmp_path / "run").mkdir()
    resolved = configs.parse(tiny_config()).to_yaml()
    (tmp_path / "run/config.yaml").write_text(resolved if mine else f"# mine\n{resolved}")
    if mine is not None:
        (tmp_path / "run" / mine).write_text("precious")
    with pytest.raises(logitleak.UserError, match="is not empty and no run folder"):
        logitleak.run(tiny_config(), tmp_path / "run", overwrite=True)
    assert (tmp_path / "run/config.yaml").is_file()


def test_overwrite_goes_on_with_the_same_config(tmp_path: Path, tiny_config: Config) -> None:
    config = tiny_config() | {"attacks": ["ridge"]}
    run = logitleak.run(config, tmp_path / "run", overwrite=True).path
    stamp = (run / "wire" / "public.safetensors").stat().st_mtime_ns
    logitleak.run(config, run, overwrite=True)
    assert (run / "wire" / "public.safetensors").stat().st_mtime_ns == stamp


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": {"disjoint": True, "protocol": "half-degraded"}}, "disjoint"),
        ({"data": {"clean_public": True, "protocol": "domain-pair"}}, "clean_public"),
        ({"data": {"degradation": None, "degradation_settings": {"size": 3}}}, "degradation_settings"),
        ({"data": {"image_size": 50}}, "not 50x50; prepare the data with another image_size"),
        ({"federation": {"lr": 1e30}}, "loss.*not finite; lower"),
    ],
)
def test_mistakes_that_are_found(
    tmp_path: Path, tiny_config: Config, change: dict[str, dict[str, Any]], message: str
) -> None:
    config = tiny_config()
    for section, values in change.items():
        config[section] = {**config[section], **values}
    with pytest.raises(logitleak.UserError, match=message):
        logitleak.run(config, tmp_path / "run")


def test_attacks_do_not_get_the_root_seed(
    tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The root seed gives away who owns whom."""
    seen: list[int] = []
    from logitleak.stages import tune, worlds

    create = tune.create

    def spy(*args: Any, **kwargs: Any) -> Any:
        seen.append(kwargs["seed"])
        return create(*args, **kwargs)

    monkeypatch.setattr(tune, "create", spy)
    logitleak.run(tiny_config() | {"seed": 5, "attacks": ["ridge"]}, tmp_path / "run")
    assert set(seen) == {worlds.attack_seed(5)}
    assert 5 not in seen


def test_what_a_verdict_rests_on_is_named_once(tmp_path: Path, tiny_config: Config) -> None:
    config = tiny_config() | {"attacks": ["ridge", "gap"]}
    run = logitleak.run(config, tmp_path / "run").path
    with pytest.raises(logitleak.UserError, match='rests on "gap", which was named before'):
        logitleak.run(config | {"primary": "ridge"}, run)
    logitleak.run(config | {"primary": "gap"}, run)


def test_candidates_cannot_be_asked_later(tmp_path: Path, tiny_config: Config) -> None:
    config = tiny_config() | {"attacks": []}
    config["data"] = config["data"] | {"held_out": 0.3}
    run = logitleak.run(config, tmp_path / "run").path
    with pytest.raises(logitleak.UserError, match="without what clients say of .* candidates"):
        logitleak.run(config | {"candidates": 4}, run)
    asked = logitleak.run(config | {"candidates": 4}, tmp_path / "asked").path
    logitleak.run(config | {"candidates": 4}, asked)
    logitleak.run(config, asked)  # who does not ask for them loses nothing


def test_a_reference_that_is_not_there_is_found_before_anything_runs(
    tmp_path: Path, tiny_config: Config
) -> None:
    gap = {"attack": "gap", "settings": {"reference": "others"}}
    config = tiny_config()
    alone = config | {"attacks": {"gap": gap}, "federation": config["federation"] | {"clients": 1}}
    summed = config | {"attacks": {"gap": gap | {"view": "sum"}}}
    for wrong in (alone, summed):
        with pytest.raises(logitleak.UserError, match="needs a second client"):
            logitleak.run(wrong, tmp_path / "run")
    assert not (tmp_path / "run" / "wire").exists()
