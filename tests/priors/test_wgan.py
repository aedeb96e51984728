"""The GAN of sensitive public images, against closed forms and a set of which everything is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_public import tiny_public
from torch import Tensor, nn

from logitleak.errors import UserError
from logitleak.files.storage import read_tensors, write_tensors
from logitleak.models.latent import Critic, LatentGenerator
from logitleak.priors.wgan import PublicGAN, Wasserstein, WassersteinTraining, WGANSettings, gradient_penalty
from logitleak.types import Knowledge

SMALL: dict[str, Any] = {
    "steps": 5,
    "batch": 4,
    "filters": 4,
    "critics": 2,
    "latent": 8,
    "lr": 2e-4,
    "penalty": 10.0,
    "checkpoint_every": 2,
}
CPU = torch.device("cpu")


class Stopped(Exception):
    pass


def gan(home: Path | None = None, shown: bool = True, **settings: Any) -> PublicGAN:
    return PublicGAN(WGANSettings(**(SMALL | settings)), shown, 0, CPU, home)


def learnt(made: PublicGAN, known: Knowledge | None = None, stop: int | None = None) -> dict[str, Tensor]:
    def listen(step: int, loss: float) -> None:
        if step == stop:
            raise Stopped

    return made.learn(known or tiny_public(), listen).state_dict()


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("norm", [0.25, 1.0, 3.0])
def test_penalty_of_a_linear_critic(norm: float) -> None:
    """The gradient of C(x) = w·x is w everywhere, so the penalty is (‖w‖ − 1)²."""
    made = Wasserstein(WGANSettings(**SMALL), (16, 16), shown=False)
    linear = nn.Linear(3 * 16 * 16, 1)
    with torch.no_grad():
        linear.weight.mul_(norm / linear.weight.norm())
    made.critic = nn.Sequential(nn.Flatten(), linear, nn.Flatten(0))  # type: ignore[assignment]
    found = gradient_penalty(made, torch.rand(4, 3, 16, 16))
    assert float(found.detach()) == pytest.approx((norm - 1) ** 2, abs=1e-5)
    found.backward()
    expected = 2 * (norm - 1) * linear.weight / norm
    torch.testing.assert_close(linear.weight.grad, expected.detach(), atol=1e-5, rtol=1e-4)


def test_a_flat_critic_gives_numbers() -> None:
    made = Wasserstein(WGANSettings(**SMALL), (16, 16), shown=False)
    for value in made.critic.parameters():
        nn.init.zeros_(value)
    penalty = gradient_penalty(made, torch.rand(2, 3, 16, 16))
    penalty.backward()
    assert float(penalty.detach()) == pytest.approx(1, abs=1e-5)
    assert all(bool(p.grad.isfinite().all()) for p in made.critic.parameters() if p.grad is not None)


@pytest.mark.parametrize("shown", [True, False])
@pytest.mark.parametrize("size", [(11, 13), (16, 16), (64, 64), (128, 96)])
def test_sizes(size: tuple[int, int], shown: bool) -> None:
    generator = LatentGenerator(6, 4, size, shown)
    beside = torch.zeros(2, 3, *size) if shown else None
    images = generator(torch.zeros(2, 6), beside)
    assert images.shape == (2, 3, *size)
    assert Critic(4, size)(images).shape == (2,)


def test_goes_on_after_a_kill_and_is_shared(tmp_path: Path) -> None:
    straight = learnt(gan())
    with pytest.raises(Stopped):
        learnt(gan(tmp_path), stop=3)
    assert gan(tmp_path).steps_left(tiny_public().public.labelled()) == 3
    assert same(learnt(gan(tmp_path)), straight)
    assert gan(tmp_path).steps_left(tiny_public().public.labelled()) == 0
    assert same(learnt(gan(tmp_path), stop=1), straight)  # nobody trains again
    (folder,) = tmp_path.iterdir()
    path = folder / "final.safetensors"
    table = read_tensors(path)
    write_tensors(path, {key: value * float("nan") for key, value in table.items()})
    with pytest.raises(UserError, match="delete it to train again"):
        learnt(gan(tmp_path))


def test_nothing_but_d_0_is_learnt() -> None:
    """Not shown anything, a GAN is the same whatever D_a holds; shown people, it is so for whom D_0 does not hold."""
    known = tiny_public()
    targets = torch.isin(known.public.labelled().labels, known.target_labels)
    assert not bool((targets & known.public.sensitive).any())
    others = known.public.images.clone()
    others[~known.public.sensitive] = 7
    assert same(
        learnt(gan(shown=False), known),
        learnt(gan(shown=False), replace(known, public=replace(known.public, images=others))),
    )
    others = known.public.images.clone()
    others[targets] = 7
    changed = replace(known, public=replace(known.public, images=others))
    assert same(learnt(gan(), known), learnt(gan(), changed))


def test_what_people_are_shown_by() -> None:
    known = tiny_public()
    public = known.public.labelled()
    made = gan()
    found = made.beside(public, torch.tensor([7, 2, 99]))
    assert found is not None
    for image, label in zip(found[:2], (7, 2), strict=True):
        rows = torch.nonzero((public.labels == label) & ~public.sensitive).flatten()
        torch.testing.assert_close(image, public.pixels(rows).mean(0) * 2 - 1, atol=1e-5, rtol=0)
    everybody = public.pixels(public.rows("insensitive")).mean(0) * 2 - 1
    torch.testing.assert_close(found[2], everybody, atol=1e-5, rtol=0)
    assert gan(shown=False).beside(public, torch.tensor([7])) is None


def test_one_color_is_learnt() -> None:
    """Of a D_0 that is one flat color the generator makes that color."""
    known = tiny_public()
    images = known.public.images.clone()
    images[known.public.sensitive] = torch.tensor([200, 60, 120], dtype=torch.uint8)[:, None, None]
    known = replace(known, public=replace(known.public, images=images))
    settings = WGANSettings(steps=60, batch=8, filters=8, latent=8, lr=2e-3, critics=3, penalty=10.0)
    training = WassersteinTraining(known.public.labelled(), False, settings, 0, CPU)
    for step in range(1, settings.steps + 1):
        training.step(step)
    made = training.translator()
    assert isinstance(made, Wasserstein)
    with torch.no_grad():
        found = (
            made.generate(torch.randn(16, 8, generator=torch.Generator().manual_seed(1))).add(1).mul(127.5)
        )
    error = (found.mean((0, 2, 3)) - torch.tensor([200.0, 60.0, 120.0])).abs()
    assert float(error.max()) < 30
