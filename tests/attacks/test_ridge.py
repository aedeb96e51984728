"""The closed form against least squares, and its weight against a literal cross-validation."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from memory import MemoryView
from torch import Tensor

from logitleak.attacks.base import create
from logitleak.attacks.departures import Departures
from logitleak.attacks.features import public_inputs, target_inputs
from logitleak.attacks.gram import spectrum
from logitleak.attacks.linear import Priors, pulled, rescale, shares
from logitleak.attacks.validation import (
    GRID,
    TEMPERATURES,
    gcv_scores,
    mock_target_scores,
    project,
)
from logitleak.types import PublicData


def problem(n: int = 40, d: int = 9, p: int = 20, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(n, d, generator=generator, dtype=torch.float64)
    x = z @ torch.randn(d, p, generator=generator, dtype=torch.float64)
    x += 0.5 * torch.randn(n, p, generator=generator, dtype=torch.float64)
    return z - z.mean(0), x - x.mean(0)


MORE_IMAGES_AND_MORE_INPUTS = pytest.mark.parametrize(("n", "d"), [(40, 9), (17, 50)])
"""Either side of ZᵀZ and ZZᵀ is solved."""


@MORE_IMAGES_AND_MORE_INPUTS
def test_solve_is_least_squares(n: int, d: int) -> None:
    """Ridge is ordinary least squares with extra rows √(λs) I."""
    z, x = problem(n, d)
    target = torch.randn(3, d, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    lam = 0.3
    scale = float((z.T @ z).diagonal().mean())
    rows = np.vstack([z.numpy(), np.sqrt(lam * scale) * np.eye(d)])
    weights, *_ = np.linalg.lstsq(rows, np.vstack([x.numpy(), np.zeros((d, 20))]), rcond=None)
    np.testing.assert_allclose((shares(z, target, lam).T @ x).numpy(), target.numpy() @ weights, atol=1e-10)


@pytest.mark.parametrize("n", [40, 12])
def test_a_solution_with_priors_is_the_normal_equations(n: int) -> None:
    z, x = problem(n, 25, 48)
    generator = torch.Generator().manual_seed(2)
    target = torch.randn(3, 25, dtype=torch.float64, generator=generator)
    priors = Priors(
        torch.rand(4, 48, generator=generator), torch.arange(n) % 4, torch.rand(3, 48, generator=generator)
    )
    public = PublicData(
        (x.view(n, 3, 4, 4).abs() * 20).to(torch.uint8), None, torch.ones(n, dtype=torch.bool)
    )
    images = Departures(public, torch.arange(n), torch.device("cpu"))
    lam, gamma, mean = 0.2, 0.7, images.mean.double()
    departures = torch.cat([block for _, block in images.by_pixels()], 1).double()
    left = (1 + gamma) * z.T @ z + gamma * target.T @ target
    left += lam * float((z.T @ z).diagonal().mean()) * torch.eye(25, dtype=torch.float64)
    right = z.T @ (departures + gamma * (priors.of_labels[priors.places] - mean))
    right += gamma * target.T @ (priors.of_targets - mean)
    found = pulled(z, target, images, lam, gamma, priors)
    torch.testing.assert_close(found, target @ torch.linalg.solve(left, right), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n", [30, 11])
def test_a_spectrum_has_all_directions_in_which_inputs_lie(n: int) -> None:
    z, _ = problem(n, 20)  # centered: one direction of images is nobody's
    values, vectors, scale = spectrum(z)
    squares = z.T @ z
    assert scale == pytest.approx(float(squares.diagonal().mean()))
    torch.testing.assert_close((vectors * values) @ vectors.T, squares)
    torch.testing.assert_close(vectors.T @ vectors, torch.eye(vectors.shape[1]).double())
    assert vectors.shape[1] == min(20, n - 1)
    assert bool((values.diff() >= 0).all())


def test_inputs_that_say_nothing_have_no_solution_but_the_mean() -> None:
    for n, d in ((8, 3), (3, 8)):
        assert not bool(shares(torch.zeros(n, d), torch.ones(2, d), 0.1).any())
        assert len(spectrum(torch.zeros(3, 8)).values) == 0


@MORE_IMAGES_AND_MORE_INPUTS
def test_gcv_is_the_hat_matrix_formula(n: int, d: int) -> None:
    z, x = problem(n, d)
    grid = (1e-3, 0.1, 2.0)
    scale = float((z.T @ z).diagonal().mean())
    expected = []
    for lam in grid:
        hat = z @ torch.linalg.inv(z.T @ z + lam * scale * torch.eye(d, dtype=torch.float64)) @ z.T
        residual = (x - hat @ x).square().sum()
        expected.append(float(n * residual / (n - 1 - hat.trace()) ** 2))
    np.testing.assert_allclose(gcv_scores(z, x.split(6, 1), grid).numpy(), expected, rtol=1e-7)


def test_gcv_chooses_more_for_noise_than_for_signal() -> None:
    z, x = problem(60, 20, 30)
    noise = torch.randn(60, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    grid = tuple(10.0**e for e in range(-4, 3))
    assert gcv_scores(z, [noise - noise.mean(0)], grid).argmin() > gcv_scores(z, [x], grid).argmin()


def test_rescale() -> None:
    x = torch.tensor([[3.0, -3.0], [0.0, 0.0]])
    scaled = rescale(x, 0.5)
    assert scaled.tolist() == [[0.5, -0.5], [0.0, 0.0]]


@pytest.mark.parametrize("gamma", [0.0, 0.4])
def test_the_whole_attack(gamma: float) -> None:
    """Against the normal equations of the docstring, solved in float64 with everything written out."""
    view = MemoryView(clients=2, rounds=1)
    ridge = create("ridge", {"tau": 3.0, "lam": 0.05, "gamma": gamma, "alpha": 2.0, "contrast": None})
    result = list(ridge.replay(view))[-1][1]
    public = view.knowledge.public
    rows = public.rows("sensitive")
    for k in range(2):
        _, z = public_inputs(view, k, 1, 3.0, "full", rows)
        target = target_inputs(view.knowledge.target_labels, view.classes, 2.0, "full").double()
        x = (public.images[rows].double() / 255).flatten(1)
        zc, xc, tc = z.double() - z.double().mean(0), x - x.mean(0), target - z.double().mean(0)
        prior = torch.zeros_like(xc)  # the mean prior, centered by the mean image
        left = (1 + gamma) * zc.T @ zc + gamma * tc.T @ tc
        left += 0.05 * float((zc.T @ zc).diagonal().mean()) * torch.eye(len(left), dtype=torch.float64)
        right = zc.T @ (xc + gamma * prior)
        expected = x.mean(0) + tc @ torch.linalg.solve(left, right)
        found = result.images[k].flatten(1).double()
        torch.testing.assert_close(found, expected.clamp(0, 1), rtol=0, atol=2e-4)


def test_contrast_sets_the_length() -> None:
    view = MemoryView(clients=1, rounds=1)
    result = list(create("ridge", {"lam": 0.1, "contrast": 0.2}).replay(view))[-1][1]
    public = view.knowledge.public
    x = public.pixels(public.rows("sensitive"))
    departure = (result.images[0] - x.mean(0)).square().mean((1, 2, 3)).sqrt()
    expected = 0.2 * (x - x.mean(0)).square().mean().sqrt()
    torch.testing.assert_close(departure, expected.expand(2), rtol=1e-3, atol=0)


def test_lambda_is_chosen_and_told() -> None:
    view = MemoryView(clients=2, rounds=2)
    ridge = create("ridge")
    list(ridge.replay(view))
    chosen = ridge.trace.choices["tuned"]
    assert [c["round"] for c in chosen] == [1, 2]
    assert all(c["lambda"] in GRID and c["tau"] in TEMPERATURES for c in chosen)


@pytest.mark.parametrize("tune", ["mock-targets", "gcv"])
def test_nothing_is_called_chosen_where_nobody_was_heard(tune: str) -> None:
    ridge = create("ridge", {"tune": tune})
    list(ridge.replay(MemoryView(clients=2, rounds=1, rows=torch.empty(0, dtype=torch.int64))))
    assert ridge.trace.choices["tuned"] == [{"round": 1, "not tuned": "no client has answered so far"}]


def test_what_is_given_is_not_tuned() -> None:
    view = MemoryView(clients=1, rounds=1)
    for given in ({"tau": 2.0}, {"lam": 0.5}):
        ridge = create("ridge", given)
        list(ridge.replay(view))
        (entry,) = ridge.trace.choices["tuned"]
        assert {"tau": entry["tau"], "lam": entry["lambda"]}.items() >= given.items()
    ridge = create("ridge", {"tau": 2.0, "lam": 0.5})
    list(ridge.replay(view))
    assert not ridge.trace.choices


def test_gcv_where_the_public_set_has_no_labels() -> None:
    view = MemoryView(clients=1, rounds=1)
    labelled = create("ridge", {"tune": "gcv"})
    expected = list(labelled.replay(view))[-1][1].images
    public = view.knowledge.public
    view.knowledge = replace(view.knowledge, public=PublicData(public.images, None, public.sensitive))
    unlabelled = create("ridge")
    assert torch.equal(list(unlabelled.replay(view))[-1][1].images, expected)
    assert unlabelled.trace.choices == labelled.trace.choices


@pytest.mark.parametrize("d", [8, 60])
def test_mock_targets_are_refits_without_the_identity(d: int) -> None:
    """The closed form against one least-squares problem for each identity and weight."""
    z, x = problem(30, d, 12, seed=4)
    identities = torch.arange(30) % 6
    mock = torch.randn(6, d, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    grid = (1e-3, 0.2, 5.0)
    scale = float((z.T @ z).diagonal().mean())
    means = torch.stack([x[identities == g].mean(0) for g in range(6)])
    for lam, found in zip(grid, mock_target_scores(z, x, identities, mock, grid), strict=True):
        cosines = torch.empty(6, 6, dtype=torch.float64)
        for g in range(6):
            kept = identities != g
            left = z[kept].T @ z[kept] + lam * scale * torch.eye(d, dtype=torch.float64)
            predicted = mock[g] @ torch.linalg.solve(left, z[kept].T @ x[kept])
            cosines[g] = torch.nn.functional.cosine_similarity(predicted[None], means)
        assert found.cosine == pytest.approx(float(cosines.diagonal().mean()), abs=1e-6)
        assert found.accuracy == pytest.approx(float((cosines.argmax(1) == torch.arange(6)).double().mean()))


def test_projections_keep_angles() -> None:
    x = torch.randn(5, 4000, generator=torch.Generator().manual_seed(0))
    x[1] = x[0] + 0.1 * x[1]
    seen = project(x.split(2), torch.Generator().manual_seed(1))
    assert seen.shape == (5, 128)
    assert float(torch.nn.functional.cosine_similarity(seen[0], seen[1], 0)) > 0.95
    assert abs(float(torch.nn.functional.cosine_similarity(seen[2], seen[3], 0))) < 0.4
    small = x[:, :64]
    assert torch.equal(project(small.split(2), torch.Generator()), small)
