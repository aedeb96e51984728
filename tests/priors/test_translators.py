"""The networks and losses of the trained priors against independent properties."""

from typing import Any

import pytest
import torch
from test_priors import create
from tiny_public import tiny_public
from torch import Tensor, nn

from logitleak.errors import UserError
from logitleak.models.base import normalize
from logitleak.priors.cyclegan import CycleGANSettings, CycleTraining, ImagePool
from logitleak.priors.deblurgan import DeblurGANSettings, DeblurTraining, rate
from logitleak.priors.discriminators import GlobalDiscriminator, PatchDiscriminator
from logitleak.priors.domains import label_means
from logitleak.priors.generators import PyramidGenerator, ResNetGenerator, UNet
from logitleak.priors.losses import least_squares, pyramid_distance, relativistic
from logitleak.priors.trained import build
from logitleak.seeds import derive

CPU = torch.device("cpu")


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Times(nn.Module):
    """A stand-in for a network, simple enough to write its losses down."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


GENERATORS: list[tuple[Any, tuple[int, ...]]] = [
    (UNet, (4,)),
    (ResNetGenerator, (4, 2)),
    (PyramidGenerator, (4,)),
]


@pytest.mark.parametrize(("network", "arguments"), GENERATORS)
class TestGenerators:
    @pytest.mark.parametrize("size", [(16, 16), (32, 48), (128, 128)])
    def test_shape_stays(self, network: Any, arguments: tuple[int, ...], size: tuple[int, int]) -> None:
        made = build(lambda: network(*arguments), derive(0, "test"))
        assert made(noise(2, 3, *size)).shape == (2, 3, *size)

    def test_images_of_a_batch_do_not_mix(self, network: Any, arguments: tuple[int, ...]) -> None:
        made = build(lambda: network(*arguments), derive(0, "test"))
        x = noise(3, 3, 16, 16)
        torch.testing.assert_close(made(x)[1:2], made(x[1:2]), rtol=1e-4, atol=1e-5)

    def test_every_parameter_learns(self, network: Any, arguments: tuple[int, ...]) -> None:
        made = build(lambda: network(*arguments), derive(0, "test"), spread=0.1)
        made(0.1 * noise(2, 3, 16, 16)).square().mean().backward()
        assert all(value.grad is not None for value in made.parameters())


@pytest.mark.parametrize(("network", "arguments"), GENERATORS[1:])
def test_bounded_generators(network: Any, arguments: tuple[int, ...]) -> None:
    made = build(lambda: network(*arguments), derive(0, "test"), spread=1.0)
    out = made(noise(2, 3, 16, 16).clamp(-1, 1))
    assert float(out.detach().abs().max()) <= 1


def test_the_paper_s_generator_has_its_size() -> None:
    # 7·7·3·64, 3·3·64·128, 3·3·128·256, 3 blocks of 2·3·3·256·256, back again; and a bias for every channel
    weights = 9408 + 73728 + 294912 + 3 * 2 * 589824 + 294912 + 73728 + 9408
    biases = 64 + 128 + 256 + 6 * 256 + 128 + 64 + 3
    with torch.device("meta"):
        assert sum(p.numel() for p in ResNetGenerator(64, 3).parameters()) == weights + biases


def test_pyramid_generator_without_a_correction_returns_its_input() -> None:
    made = build(lambda: PyramidGenerator(4), derive(0, "test"))
    assert isinstance(made, PyramidGenerator)
    for value in made.fine[-1].parameters():
        nn.init.zeros_(value)
    x = noise(1, 3, 16, 16).clamp(-1, 1)
    assert torch.equal(made(x), x)


def reach(network: nn.Module, x: Tensor) -> Tensor:
    """Which pixels the score in the middle of the map depends on, bool [H, W], with norms taken out."""
    plain = nn.Sequential(*(layer for layer in network if not isinstance(layer, nn.InstanceNorm2d)))
    x = x.requires_grad_()
    scores = plain(x)
    scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2].backward()
    assert x.grad is not None
    return x.grad[0].abs().sum(0) > 0


def test_a_patch_has_70_pixels() -> None:
    made = build(lambda: PatchDiscriminator(2, 3, 128), derive(0, "test"))
    seen = reach(made, noise(1, 3, 128, 128))
    assert [int(seen.any(d).sum()) for d in (0, 1)] == [70, 70]
    assert bool(seen[seen.any(1)][:, seen.any(0)].all())


def test_the_whole_discriminator_sees_everything() -> None:
    for size in ((16, 16), (64, 64), (48, 112)):
        made = build(lambda size=size: GlobalDiscriminator(2, size), derive(0, "test"))  # type: ignore[misc]
        assert made(noise(2, 3, *size)).shape == (2, 1, 1, 1)
        assert bool(reach(made, noise(1, 3, *size)).all())


@pytest.mark.parametrize(("side", "scores"), [(16, 2), (32, 2), (64, 6), (128, 14)])
def test_patch_scores(side: int, scores: int) -> None:
    made = build(lambda: PatchDiscriminator(2, 3, side), derive(0, "test"))
    assert made(noise(1, 3, side, side)).shape == (1, 1, scores, scores)


def test_relativistic_loss_is_the_literal_formula() -> None:
    real, fake = [0.3, -1.2, 0.8], [1.0, 0.1, -0.4]
    mean_real, mean_fake = sum(real) / 3, sum(fake) / 3
    judge = sum((r - mean_fake - 1) ** 2 for r in real) / 3 + sum((f - mean_real + 1) ** 2 for f in fake) / 3
    fooled = sum((r - mean_fake + 1) ** 2 for r in real) / 3 + sum((f - mean_real - 1) ** 2 for f in fake) / 3
    a, b = torch.tensor(real), torch.tensor(fake)
    assert float(relativistic(a, b)) == pytest.approx(judge / 2)
    assert float(relativistic(b, a)) == pytest.approx(fooled / 2)


def test_pyramid_distance() -> None:
    a, b = noise(1, 3, 16, 16), noise(1, 3, 16, 16, seed=1)
    assert float(pyramid_distance(a, a)) == 0
    torch.testing.assert_close(pyramid_distance(a, b), pyramid_distance(b, a))
    # a shift of the light is in no level of detail; only the coarsest of four holds it
    assert float(pyramid_distance(a, a + 0.4)) == pytest.approx(0.1, rel=1e-4)
    # a checkerboard averages out at once: only the finest level holds it
    board = (torch.arange(16)[:, None] + torch.arange(16)) % 2 * 2.0 - 1
    assert float(pyramid_distance(a, a + board)) == pytest.approx(0.25, rel=1e-4)


def test_cyclegan_losses_are_the_literal_formulas() -> None:
    settings = CycleGANSettings(filters=4, blocks=1, cycle=3.0, identity=0.5)
    training = CycleTraining(tiny_public().public.labelled(), settings, 0, CPU)
    factors = {"to_sensitive": 0.5, "to_insensitive": 1.5, "judge_sensitive": 0.7, "judge_insensitive": -0.2}
    training.networks = {name: Times(factor) for name, factor in factors.items()}
    a, b = noise(2, 3, 16, 16), noise(2, 3, 16, 16, seed=1)
    loss, fake = training.generator_loss(a, b)
    torch.testing.assert_close(fake["sensitive"], 0.5 * a)
    torch.testing.assert_close(fake["insensitive"], 1.5 * b)
    fooled = ((0.7 * 0.5 * a - 1) ** 2).mean() + ((-0.2 * 1.5 * b - 1) ** 2).mean()
    cycle = (0.75 * a - a).abs().mean() + (0.75 * b - b).abs().mean()
    same = (0.5 * b - b).abs().mean() + (1.5 * a - a).abs().mean()
    torch.testing.assert_close(loss, fooled + 3 * cycle + 1.5 * same)
    judge = training.judge_loss("insensitive", a, b)
    torch.testing.assert_close(judge, (((-0.2 * a - 1) ** 2).mean() + ((-0.2 * b) ** 2).mean()) / 2)


def test_least_squares() -> None:
    assert float(least_squares(torch.tensor([0.0, 3.0]), 1)) == 2.5


def test_deblurgan_loss_is_the_literal_formula() -> None:
    settings = DeblurGANSettings(filters=4, pixel=0.5, structure=0.25, adversarial=0.1)
    training = DeblurTraining(tiny_public().public.labelled(), settings, 0, CPU)
    training.networks = {"judge_patches": Times(2.0), "judge_whole": Times(-1.0)}
    sharp, made = noise(2, 3, 16, 16), noise(2, 3, 16, 16, seed=1)
    held = 0.5 * ((made - sharp) ** 2).mean() + 0.25 * pyramid_distance(made, sharp)
    fooled = (relativistic(2 * made, 2 * sharp) + relativistic(-made, -sharp)) / 2
    torch.testing.assert_close(training.generator_loss(sharp, made), held + 0.1 * fooled)
    judged = (relativistic(2 * sharp, 2 * made) + relativistic(-sharp, -made)) / 2
    torch.testing.assert_close(training.judge_loss(sharp, made), judged)


def test_a_generator_s_step_leaves_no_gradient_in_its_judges() -> None:
    for training in (
        CycleTraining(tiny_public().public.labelled(), CycleGANSettings(filters=4, blocks=1), 0, CPU),
        DeblurTraining(tiny_public().public.labelled(), DeblurGANSettings(filters=4, batch=2), 0, CPU),
    ):
        before = {name: [p.clone() for p in net.parameters()] for name, net in training.networks.items()}
        training.step(1)
        for name, network in training.networks.items():
            assert all(p.requires_grad for p in network.parameters())
            assert not all(torch.equal(a, b) for a, b in zip(before[name], network.parameters(), strict=True))


def test_learning_rate_is_constant_and_then_falls() -> None:
    rates = [rate(step, 8, 0.25) for step in range(1, 9)]
    assert rates[:3] == [1, 1, 1]
    assert rates[3:] == pytest.approx([5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])
    assert [rate(step, 3, 1.0) for step in (1, 2, 3)] == [1, 1, 1]


class TestImagePool:
    def images(self, *values: float) -> Tensor:
        return torch.tensor(values, dtype=torch.float32)[:, None, None, None]

    def test_fills_and_shows_what_comes(self) -> None:
        pool, generator = ImagePool(4, (1, 1, 1), CPU), derive(0, "pool")
        for values in ((1.0, 2.0), (3.0, 4.0)):
            assert torch.equal(pool.exchange(self.images(*values), generator), self.images(*values))
        assert int(pool.count) == 4

    def test_full_it_swaps_half_of_the_time_and_loses_nothing(self) -> None:
        pool, generator = ImagePool(4, (1, 1, 1), CPU), derive(0, "pool")
        pool.exchange(self.images(0, 1, 2, 3), generator)
        seen, fresh = [], 0
        for i in range(200):
            new = self.images(4 + 2 * i, 5 + 2 * i)
            shown = pool.exchange(new, generator)
            seen += shown.flatten().tolist()
            fresh += int((shown == new).sum())
        assert 150 < fresh < 250
        assert sorted(seen + pool.images.flatten().tolist()) == list(range(404))  # each once, shown or there

    def test_none(self) -> None:
        pool = ImagePool(0, (1, 1, 1), CPU)
        assert torch.equal(pool.exchange(self.images(7), derive(0, "pool")), self.images(7))

    def test_smaller_than_a_batch_is_refused(self) -> None:
        with pytest.raises(UserError, match="pool must be 0 or at least batch"):
            create("cyclegan", pool=2, batch=3)


def test_deblurgan_aims_at_the_mean_of_the_identity() -> None:
    public = tiny_public().public.labelled()
    training = DeblurTraining(public, DeblurGANSettings(filters=4), 0, CPU)
    rows = torch.tensor([13, 12, 17])
    expected = label_means(public, "sensitive", torch.tensor([0, 1, 5]))[[1, 0, 2]]
    torch.testing.assert_close(training._mean_of(rows), normalize(expected))
