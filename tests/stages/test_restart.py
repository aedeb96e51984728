"""What an early end leaves behind must not mix with what comes after it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import logitleak
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
