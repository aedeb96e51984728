"""The small metrics against scipy and closed forms."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import entropy as scipy_entropy

from logitleak import registry
from logitleak.metrics import confidence
from logitleak.metrics.image import MSE, PSNR, TV, total_variation
from logitleak.metrics.utility import accuracy


@pytest.mark.parametrize("name", registry.names("metric"))
def test_contract(name: str) -> None:
    """Every metric: one finite number for each pair, and one pair's number does not depend on the others."""
    metric = registry.load("metric", name)()
    generator = torch.Generator().manual_seed(0)
    images, truth = (torch.rand(4, 3, 16, 16, generator=generator) for _ in range(2))
    found = metric(images, truth)
    assert found.shape == (4,)
    assert bool(found.isfinite().all())
    torch.testing.assert_close(metric(images[2:3], truth[2:3]), found[2:3])
    assert bool(metric(truth, truth).isfinite().all())


def test_total_variation_of_a_ramp() -> None:
    ramp = torch.linspace(0, 1, 5).expand(2, 3, 4, 5)
    torch.testing.assert_close(total_variation(ramp), torch.full((2,), 0.25))
    torch.testing.assert_close(total_variation(ramp.transpose(-1, -2)), torch.full((2,), 0.25))
    torch.testing.assert_close(TV()(ramp, torch.zeros_like(ramp)), torch.full((2,), 0.25))


def test_mse_and_psnr() -> None:
    a, b = torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.1)
    assert float(MSE()(a, b)) == pytest.approx(0.01)
    assert float(PSNR()(a, b)) == pytest.approx(20)
    assert float(PSNR()(a, a)) == 100


def test_entropy_equals_scipy() -> None:
    logits = torch.randn(7, 5, generator=torch.Generator().manual_seed(0)) * 4
    expected = scipy_entropy(torch.softmax(logits.double(), -1).numpy(), axis=-1)
    np.testing.assert_allclose(confidence.entropy(logits).numpy(), expected, atol=1e-12)
    assert float(confidence.entropy(torch.tensor([1000.0, 0.0]))) == pytest.approx(0, abs=1e-12)


def test_histogram_equals_numpy() -> None:
    values = torch.rand(500, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * math.log(9)
    expected, _ = np.histogram(values.numpy(), bins=confidence.BINS, range=(0, math.log(9)))
    np.testing.assert_allclose(confidence.histogram(values, 9), expected / 500, atol=1e-6)
    assert sum(confidence.histogram(torch.full((3,), math.log(9) + 1e-9), 9)) == pytest.approx(1)
    assert sum(confidence.histogram(torch.empty(0), 9)) == 0
    assert confidence.edges(9)[-1] == pytest.approx(math.log(9), abs=1e-6)


def test_accuracy() -> None:
    found = accuracy(torch.tensor([[1.0, 2.0], [3.0, 0.0]]), torch.tensor([1, 1]))
    assert found is not None
    assert found["value"] == 0.5
    assert accuracy(torch.empty(0, 2), torch.empty(0, dtype=torch.int64)) is None
