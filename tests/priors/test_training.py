"""What trained priors share: checkpoints, weights that are kept, and samples."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from test_priors import NAMES, SMALL, create
from tiny_public import tiny_public
from torch import Tensor

from logitleak.errors import UserError
from logitleak.files.storage import read_tensors, write_tensors
from logitleak.priors.trained import TrainedPrior

SETTINGS: dict[str, dict[str, Any]] = SMALL | {"paired": {"model": "unet", "filters": 4, "held_out": 0.2}}
TRAINED = [name for name in NAMES if isinstance(create(name), TrainedPrior)]
TARGETS = torch.tensor([6, 7])


class Stopped(Exception):
    pass


def trained(name: str, home: Path | None, seed: int = 0, **settings: Any) -> TrainedPrior:
    prior = create(name, seed, **(SETTINGS[name] | {"steps": 5, "checkpoint_every": 2} | settings))
    assert isinstance(prior, TrainedPrior)
    prior.home = home
    return prior


def steps_of(prior: TrainedPrior, stop_after: int | None = None) -> list[int]:
    """Prepare, and return the steps that were taken; stop like a kill after one of them."""
    steps: list[int] = []

    def listen(step: int, loss: float) -> None:
        steps.append(step)
        if step == stop_after:
            raise Stopped

    prior.listener = listen
    if stop_after is None:
        prior.prepare(tiny_public())
    else:
        with pytest.raises(Stopped):
            prior.prepare(tiny_public())
    return steps


def folder(home: Path) -> Path:
    (only,) = home.iterdir()
    return only


def final(home: Path) -> dict[str, Tensor]:
    return read_tensors(folder(home) / "final.safetensors")


@pytest.mark.parametrize("name", TRAINED)
class TestEveryTrainedPrior:
    def test_resumed_equals_straight(self, name: str, tmp_path: Path) -> None:
        straight = trained(name, tmp_path / "straight")
        assert steps_of(straight) == [1, 2, 3, 4, 5]
        assert steps_of(trained(name, tmp_path / "killed"), stop_after=3) == [1, 2, 3]
        resumed = trained(name, tmp_path / "killed")
        assert resumed.steps_planned(tiny_public()) == 3
        assert steps_of(resumed) == [3, 4, 5]
        expected, found = final(tmp_path / "straight"), final(tmp_path / "killed")
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[key], found[key]) for key in expected)
        known = tiny_public()
        assert torch.equal(straight.estimate(known, TARGETS), resumed.estimate(known, TARGETS))

    def test_second_prepare_trains_nothing(self, name: str, tmp_path: Path) -> None:
        first, second = trained(name, tmp_path), trained(name, tmp_path, checkpoint_every=3)
        steps_of(first)
        assert second.steps_planned(tiny_public()) == 0
        assert steps_of(second) == []
        assert torch.equal(*(prior.estimate(tiny_public(), TARGETS) for prior in (first, second)))
        assert steps_of(first) == []

    def test_settings_seed_and_public_set_are_in_the_key(self, name: str) -> None:
        known = tiny_public().public.labelled()
        keys = {trained(name, None).key(known), trained(name, None, checkpoint_every=1).key(known)}
        assert len(keys) == 1
        keys |= {trained(name, None, lr=1e-5).key(known), trained(name, None, seed=1).key(known)}
        keys.add(trained(name, None).key(tiny_public(seed=1).public.labelled()))
        known.sensitive[0] = False
        keys.add(trained(name, None).key(known))
        assert len(keys) == 5

    def test_without_a_home_nothing_is_written(
        self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        steps_of(trained(name, None))
        assert list(tmp_path.iterdir()) == []

    def test_what_is_kept(self, name: str, tmp_path: Path) -> None:
        steps_of(trained(name, tmp_path))
        samples = {f"samples-{step}.png" for step in (2, 4, 5)}
        kept = {path.name for path in folder(tmp_path).iterdir()}
        assert kept == samples | {"final.safetensors"}
        with Image.open(folder(tmp_path) / "samples-5.png") as picture:
            assert picture.size == (3 * 16, 6 * 16)  # six identities that are no targets

    @pytest.mark.parametrize("kept", ["checkpoint", "final"])
    @pytest.mark.parametrize("harm", ["truncate", "reshape", "drop", "nan"])
    def test_damage(self, name: str, kept: str, harm: str, tmp_path: Path) -> None:
        steps_of(trained(name, tmp_path), stop_after=3 if kept == "checkpoint" else None)
        path = folder(tmp_path) / f"{kept}.safetensors"
        table = read_tensors(path)
        key = next(key for key in sorted(table) if table[key].dim() == 4)
        if harm == "truncate":
            path.write_bytes(path.read_bytes()[:100])
        else:
            worse = {
                "reshape": table | {key: table[key][:1]},
                "drop": {k: v for k, v in table.items() if k != key},
                "nan": table | {key: table[key] * float("nan")},
            }
            write_tensors(path, worse[harm])
        with pytest.raises(UserError, match="delete it to train again") as caught:
            steps_of(trained(name, tmp_path))
        assert "\n" not in str(caught.value)
        path.unlink()
        assert steps_of(trained(name, tmp_path)) == [1, 2, 3, 4, 5]

    def test_loss_that_is_not_finite(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="not finite at step.*lower lr"):
            steps_of(trained(name, tmp_path, lr=1e30))
        assert not list(tmp_path.rglob("final.safetensors"))

    @pytest.mark.parametrize("side", [16, 32, 64, 128])
    def test_sides(self, name: str, side: int) -> None:
        prior = trained(name, None, steps=1, batch=1)
        assert prior.estimate(tiny_public(side=side), TARGETS[:1]).shape == (1, 3, side, side)

    def test_sides_that_do_not_fit(self, name: str) -> None:
        with pytest.raises(UserError, match=r"multiples of 16, not 24x24.*image_size"):
            trained(name, None).estimate(tiny_public(side=24), TARGETS)


def test_a_step_beyond_the_last_does_not_fit(tmp_path: Path) -> None:
    steps_of(trained("paired", tmp_path), stop_after=3)
    path = folder(tmp_path) / "checkpoint.safetensors"
    write_tensors(path, read_tensors(path) | {"step": torch.tensor(5)})
    with pytest.raises(UserError, match="does not fit"):
        steps_of(trained("paired", tmp_path))
