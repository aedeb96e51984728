"""Generative model inversion, where the best z is known, and where there is nothing to find."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from memory import MemoryView
from torch import Tensor, nn

from logitleak.attacks.base import create
from logitleak.attacks.secret_revealer import SecretRevealer
from logitleak.errors import UserError
from logitleak.priors.wgan import Wasserstein

SIDE, LATENT = 12, 5
SMALL: dict[str, Any] = {
    "steps": 3,
    "starts": 2,
    "gan_steps": 2,
    "gan_batch": 4,
    "gan_filters": 4,
    "gan_critics": 1,
}


class LinearGAN(Wasserstein):
    """G(z) = A z, and a critic w·x; nothing to train."""

    def __init__(self, slope: float) -> None:
        super().__init__(revealer(gan_latent=LATENT, gan_filters=4).settings.gan, (SIDE, SIDE), shown=False)
        generator = torch.Generator().manual_seed(0)
        self.basis = torch.linalg.qr(torch.randn(3 * SIDE * SIDE, LATENT, generator=generator)).Q.T
        self.slope = slope * torch.randn(LATENT, generator=generator)

    def generate(self, z: Tensor, beside: Tensor | None = None) -> Tensor:
        return (z @ self.basis).unflatten(1, (3, SIDE, SIDE))

    def judge(self, images: Tensor, beside: Tensor | None = None) -> Tensor:
        return images.flatten(1) @ self.basis.T @ self.slope


class TwoClasses(nn.Module):
    """The logit of label 1 is w·x of pixels taken back to [−1, 1], that of label 0 is zero."""

    def __init__(self, gan: LinearGAN) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([2.0, -1.0, 1.5, -2.5, 0.5]) @ gan.basis, requires_grad=False)

    def forward(self, pixels: Tensor) -> Tensor:
        score = (pixels.flatten(1) * 2 - 1) @ self.weight
        return torch.stack([torch.zeros_like(score), score], 1)


def revealer(**settings: Any) -> SecretRevealer:
    made = create("secret-revealer", settings)
    assert isinstance(made, SecretRevealer)
    return made


def coordinates(images: Tensor, gan: LinearGAN) -> Tensor:
    """z of images in [0, 1]."""
    return (images * 2 - 1).flatten(1) @ gan.basis.T


def test_the_search_ends_at_the_corner_of_the_box() -> None:
    """−log p falls along ±(w's coordinates), so the best z in a box is their sign."""
    gan, labels = LinearGAN(0.0), torch.tensor([1, 0])
    found, costs = revealer(lr=2.0, steps=60, starts=2).search(gan, TwoClasses(gan), labels, None)
    corner = torch.tensor([1.0, -1, 1, -1, 1])
    torch.testing.assert_close(coordinates(found, gan), torch.stack([corner, -corner]), atol=1e-3, rtol=0)
    # at the corner the logit is Σ|w| = 7.5
    expected = 100 * torch.log1p(torch.exp(torch.tensor(-7.5)))
    torch.testing.assert_close(costs, expected.expand(2), atol=1e-3, rtol=0)


def test_without_identity_the_critic_alone_decides() -> None:
    gan, labels = LinearGAN(1.0), torch.tensor([1, 0])
    found, costs = revealer(lr=50.0, steps=40, starts=1, identity=0.0).search(
        gan, TwoClasses(gan), labels, None
    )
    torch.testing.assert_close(coordinates(found, gan), gan.slope.sign().expand(2, -1), atol=1e-3, rtol=0)
    torch.testing.assert_close(costs, -gan.slope.abs().sum().expand(2), atol=1e-4, rtol=0)


def test_one_step_of_nesterov() -> None:
    """z₁ = z₀ − lr (1 + μ) g, with g the gradient of a loss that is a mean over 100 (see `BATCH`)."""
    gan, made = LinearGAN(1.0), revealer(lr=3.0, steps=1, starts=1, identity=0.0)
    found, _ = made.search(gan, TwoClasses(gan), torch.tensor([1]), None)
    z = made._start(1, 0, LATENT).clamp(-1, 1)
    expected = (z + 3.0 * 1.9 * gan.slope / 100).clamp(-1, 1)
    torch.testing.assert_close(coordinates(found, gan)[0], expected, atol=1e-5, rtol=0)


def test_what_is_found_of_one_does_not_depend_on_the_others() -> None:
    gan, made = LinearGAN(0.3), revealer(lr=0.5, steps=5, starts=2)
    both, _ = made.search(gan, TwoClasses(gan), torch.tensor([0, 1]), None)
    alone, _ = made.search(gan, TwoClasses(gan), torch.tensor([1]), None)
    torch.testing.assert_close(both[1:], alone)


class NothingLearnt(MemoryView):
    """Every client sends back what it was sent."""

    def client_gradients(self, client: int, round: int) -> Mapping[str, Tensor]:
        return {name: torch.zeros_like(value) for name, value in self.global_model(round).weights.items()}


def test_clients_that_learnt_nothing_cannot_be_told_apart() -> None:
    for _, result in create("secret-revealer", SMALL).replay(NothingLearnt()):
        assert torch.equal(result.images, result.images[:1].expand_as(result.images))
        assert torch.equal(result.scores, torch.zeros_like(result.scores))


def test_numbers_that_are_none_claim_nothing() -> None:
    gan = LinearGAN(0.0)
    model = TwoClasses(gan)
    model.weight.fill_(torch.nan)
    found, costs = revealer(steps=3, starts=1).search(gan, model, torch.tensor([0]), None)
    assert bool((found == 0.5).all())
    assert bool(costs.isinf().all())


def test_people_are_shown_where_they_can_be() -> None:
    attack = create("secret-revealer", SMALL)
    list(attack.replay(MemoryView(rounds=1)))
    assert attack.trace.choices["auxiliary"] is True
    view = MemoryView(rounds=1)
    view.knowledge.public.sensitive[:] = True
    attack = create("secret-revealer", SMALL)
    list(attack.replay(view))
    assert attack.trace.choices["auxiliary"] is False
    with pytest.raises(UserError, match="set auxiliary to false"):
        list(create("secret-revealer", SMALL | {"auxiliary": True}).replay(view))
