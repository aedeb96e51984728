"""The guarantees of noise, held against integrals, closed forms and brute force."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from logitleak import registry
from logitleak.defenses.accounting import gaussian_delta, gaussian_epsilon, upward
from logitleak.defenses.draws import System
from logitleak.defenses.spaces import Kind


def made(name: str, kind: Kind, **values: Any) -> Any:
    cls = registry.load("defense", name)
    return cls(registry.settings(name, cls.Settings, values), kind, System())


@pytest.mark.parametrize("mu", [0.05, 0.3, 1.0, 2.5, 6.0])
@pytest.mark.parametrize("epsilon", [0.0, 0.1, 1.0, 4.0])
def test_delta_is_the_integral(mu: float, epsilon: float) -> None:
    """∫ max(0, p − e^ε q) of two normal densities, μ apart, which is what δ means."""

    def excess(x: float) -> float:
        return max(0.0, stats.norm.pdf(x, mu) - math.exp(epsilon) * stats.norm.pdf(x))

    edge = epsilon / mu + mu / 2  # beyond it p is larger
    expected, _ = integrate.quad(excess, edge, max(edge, mu) + 12, epsabs=1e-14)
    assert math.isclose(gaussian_delta(mu, epsilon), expected, rel_tol=1e-7, abs_tol=1e-13)


@pytest.mark.parametrize("mu", [0.1, 1.0, 3.0])
def test_delta_at_0_is_total_variation(mu: float) -> None:
    assert math.isclose(gaussian_delta(mu, 0), 2 * stats.norm.cdf(mu / 2) - 1, rel_tol=1e-12)


def test_two_rounds_are_one_with_root_2() -> None:
    """The same in two dimensions: a round each, integrated over the plane."""
    mu, epsilon = 0.8, 0.5
    grid = np.linspace(-8, 9, 1701)
    x, y = np.meshgrid(grid, grid)
    p = stats.norm.pdf(x, mu) * stats.norm.pdf(y, mu)
    q = stats.norm.pdf(x) * stats.norm.pdf(y)
    plane = np.maximum(p - math.exp(epsilon) * q, 0).sum() * (grid[1] - grid[0]) ** 2
    assert math.isclose(plane, gaussian_delta(mu * math.sqrt(2), epsilon), rel_tol=1e-4)


@pytest.mark.parametrize("delta", [1e-9, 1e-5, 0.01, 0.3])
@pytest.mark.parametrize("mu", [1e-3, 0.1, 1.0, 10.0, 300.0, 5e3])
def test_epsilon_is_the_smallest(mu: float, delta: float) -> None:
    epsilon = gaussian_epsilon(mu, delta)
    assert gaussian_delta(mu, epsilon) <= delta
    if epsilon > 0:
        assert gaussian_delta(mu, epsilon * (1 - 1e-6)) > delta * (1 - 1e-9)


def test_epsilon_of_much_is_a_bound() -> None:
    found = gaussian_epsilon(1e6, 1e-5)
    assert math.isclose(found, 5e11, rel_tol=1e-4)
    assert gaussian_epsilon(1e5, 1e-5) >= 5e9


def test_known_value() -> None:
    """σ = Δ, δ = 1e-5: by bisection of the formula, with no logarithm in it."""
    low, high = 0.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2
        value = stats.norm.sf(middle - 0.5) - math.exp(middle) * stats.norm.sf(middle + 0.5)
        low, high = (middle, high) if value > 1e-5 else (low, middle)
    assert math.isclose(gaussian_epsilon(1.0, 1e-5), high, rel_tol=1e-7)
    assert f"{high:.3f}" == "4.377"


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
@pytest.mark.parametrize("clip", [0.3, 1.0, 5.0])
def test_no_two_answers_are_further_apart(kind: Kind, clip: float) -> None:
    """Sensitivity by brute force: it is never passed, and nearly reached."""
    pairs = torch.randn(4000, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 50
    if kind == "probabilities":
        pairs = pairs.softmax(-1)
    else:
        pairs[:50, 1] = -pairs[:50, 0]
    for name, order, size in (("gaussian", 2, "sigma"), ("laplace", 1, "scale")):
        defense = made(name, kind, clip=clip, **{size: 1e-9})
        norms = torch.linalg.vector_norm(pairs, ord=order, dim=-1, keepdim=True)
        clipped = pairs * (clip / norms).clamp_max(1)
        gaps = torch.linalg.vector_norm(clipped[:, 0] - clipped[:, 1], ord=order, dim=-1)
        assert float(gaps.max()) <= defense.sensitivity * (1 + 1e-9)
        assert float(gaps.max()) > 0.99 * defense.sensitivity
        if kind == "logits":  # and this is what leaves
            sent = defense.on_upload(pairs[:, 0], torch.arange(4000), 1)
            torch.testing.assert_close(sent, clipped[:, 0], atol=1e-6, rtol=0)


def test_rows_and_rounds_add_up() -> None:
    """As squares for Gaussian noise, as they are for Laplace noise; a client is all of its rows."""
    gaussian = made("gaussian", "logits", clip=2.0, sigma=8.0)
    assert gaussian.epsilon(1, 1) == gaussian_epsilon(0.5, 1e-5)
    assert math.isclose(gaussian.epsilon(9, 4), gaussian_epsilon(0.5 * 6, 1e-5))
    laplace = made("laplace", "logits", clip=2.0, scale=8.0)
    assert math.isclose(laplace.epsilon(9, 4), 0.5 * 36)
    assert math.isclose(made("laplace", "probabilities", clip=2.0, scale=8.0).epsilon(1, 3), 2 / 8 * 3)


def test_laplace_ratio_of_densities() -> None:
    """ln(p/q) of the worst pair is ε, for one row and one round."""
    defense = made("laplace", "logits", clip=2.0, scale=4.0)
    a, b = np.array([2.0, 0]), np.array([-2.0, 0])
    x = np.array([5.0, 1.0])
    ratio = (stats.laplace.logpdf(x, a, 4.0) - stats.laplace.logpdf(x, b, 4.0)).sum()
    assert math.isclose(ratio, defense.epsilon(1, 1))


def test_what_is_said() -> None:
    said = made("gaussian", "probabilities", sigma=10.0, delta=1e-6).guarantee(rows=100, rounds=4)
    client = gaussian_epsilon(math.sqrt(2) / 10 * 20, 1e-6)
    row = gaussian_epsilon(math.sqrt(2) / 10 * 2, 1e-6)
    assert f"any other private data of it: ε = {upward(client)}." in said
    assert f"the same on all other rows: ε = {upward(row)}." in said
    assert "δ = 1e-06, over 4 uploads of at most 100 rows" in said
    assert "None for a single private image" in said


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0"), (1.0, "1"), (1.2345, "1.24"), (0.0100001, "0.0101"), (999.5, "1000"), (123456.0, "124000")],
)
def test_bounds_are_rounded_up(value: float, said: str) -> None:
    assert upward(value) == said
    assert float(upward(value)) >= value
