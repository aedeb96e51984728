"""SSIM against torchmetrics, pair by pair."""

import pytest
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from logitleak.metrics.ssim import (
    FIRST_LOOK,
    first_look,
    mean_ssim_to_others,
    ssim,
    ssim_all_pairs,
    ssim_of_contenders,
)
from logitleak.people.pack import load_pack


def images(count: int, side: int, seed: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Half noise, half smooth ramps: SSIM near 0 and near 1 both occur."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(count, 3, side, side, generator=generator, dtype=dtype)
    ramp = torch.linspace(0, 1, side, dtype=dtype).expand(count, 3, side, side)
    mix = torch.rand(count, 1, 1, 1, generator=generator, dtype=dtype)
    return mix * noise + (1 - mix) * ramp


def oracle(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    out = structural_similarity_index_measure(a, b, data_range=1.0, reduction="none")
    assert isinstance(out, torch.Tensor)
    return out


@pytest.mark.parametrize("side", [11, 16, 33, 64])
def test_equals_torchmetrics(side: int) -> None:
    a, b = images(4, side, 0), images(4, side, 1)
    torch.testing.assert_close(ssim(a, b), oracle(a, b), rtol=0, atol=1e-12)


def test_all_pairs_equal_single_pairs() -> None:
    a, b = images(3, 32, 2), images(60, 32, 3)
    expected = torch.stack([oracle(x.expand_as(b), b) for x in a])
    torch.testing.assert_close(ssim_all_pairs(a, b), expected, rtol=0, atol=1e-12)


def nobody(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.zeros(len(a), len(b), dtype=torch.bool)


@pytest.mark.parametrize("side", [11, 32, 64])
def test_contenders_are_exact_and_the_best_is_among_them(side: int) -> None:
    a, b = images(12, side, 6), images(150, side, 7)
    whole, found = ssim_all_pairs(a, b), ssim_of_contenders(a, b, nobody(a, b))
    seen = torch.isfinite(found)
    torch.testing.assert_close(found[seen], whole[seen], rtol=0, atol=1e-12)
    torch.testing.assert_close(found.amax(1), whole.amax(1), rtol=0, atol=1e-12)
    assert bool((found.argmax(1) == whole.argmax(1)).all())
    assert side < 32 or not bool(seen.all())


def test_those_that_are_sure_are_compared_and_hide_no_other() -> None:
    a, b = images(5, 64, 8), images(40, 64, 9)
    sure = nobody(a, b)
    b[3], sure[:, 3] = a[0], True  # as like as can be: without it others are the best
    whole, found = ssim_all_pairs(a, b), ssim_of_contenders(a, b, sure)
    torch.testing.assert_close(found[:, 3], whole[:, 3], rtol=0, atol=1e-12)
    others = torch.arange(40) != 3
    torch.testing.assert_close(found[:, others].amax(1), whole[:, others].amax(1), rtol=0, atol=1e-12)


def test_the_first_look_is_near_for_people_and_what_is_made_of_them() -> None:
    """Photographs against blurred, faint and noisy ones, as attacks return them."""
    people = torch.from_numpy(load_pack("adult").images[::12].copy()).permute(0, 3, 1, 2).double() / 255
    mean, generator = people.mean(0), torch.Generator().manual_seed(0)
    for share, noise in ((0.8, 0.02), (0.3, 0.0), (0.5, 0.1)):
        made = mean + share * (people[:10] - mean)
        made = torch.nn.functional.avg_pool2d(made, 3, 1, 1)
        made = (made + noise * torch.randn(made.shape, generator=generator).double()).clamp(0, 1)
        off = (first_look(made, people) - ssim_all_pairs(made, people)).abs()
        assert 0 < float(off.max()) < FIRST_LOOK / 2


def test_contenders_among_nothing() -> None:
    assert ssim_of_contenders(images(2, 16, 0), images(0, 16, 0), torch.zeros(2, 0).bool()).shape == (2, 0)
    assert ssim_of_contenders(images(0, 16, 0), images(2, 16, 0), torch.zeros(0, 2).bool()).shape == (0, 2)


def test_float32_is_close_enough() -> None:
    a, b = images(3, 64, 4), images(5, 64, 5)
    single = ssim_all_pairs(a.float(), b.float())
    torch.testing.assert_close(single.double(), ssim_all_pairs(a, b), rtol=0, atol=1e-5)


def test_an_image_equals_itself() -> None:
    a = images(2, 32, 6)
    torch.testing.assert_close(ssim(a, a), torch.ones(2, dtype=a.dtype))


def test_no_images() -> None:
    assert ssim_all_pairs(images(0, 32, 0), images(2, 32, 0)).shape == (0, 2)
    assert ssim_all_pairs(images(2, 32, 0), images(0, 32, 0)).shape == (2, 0)


def test_bad_shapes() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        ssim(images(1, 32, 0), images(1, 16, 0))
    with pytest.raises(ValueError, match="at least 11"):
        ssim(images(1, 8, 0), images(1, 8, 0))


def test_mean_to_others_is_a_plain_loop() -> None:
    stack = images(12, 16, 7).view(4, 3, 3, 16, 16)
    expected = torch.zeros(4, 3, dtype=stack.dtype)
    for k in range(4):
        for t in range(3):
            others = [oracle(stack[k, t][None], stack[m, t][None])[0] for m in range(4) if m != k]
            expected[k, t] = torch.stack(others).mean()
    torch.testing.assert_close(mean_ssim_to_others(stack), expected, rtol=0, atol=1e-12)
    assert mean_ssim_to_others(stack[:1]).eq(0).all()
