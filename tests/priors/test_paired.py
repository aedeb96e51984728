"""The supervised prior: the closed form against brute force, and the U-Net."""

import pytest
import torch
from test_priors import create
from tiny_public import tiny_public, without
from torch import Tensor

from logitleak.errors import UserError
from logitleak.metrics.ssim import ssim
from logitleak.priors.generators import UNet
from logitleak.priors.linear import GRID, LinearTranslator
from logitleak.priors.paired import PairedSettings, UNetTraining
from logitleak.priors.trained import build


def images(n: int, seed: int) -> Tensor:
    return torch.randn(n, 3, 4, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def fit_and_predict(x: Tensor, y: Tensor, slope: Tensor, lam: float, at: Tensor) -> Tensor:
    """Ridge regression of Y − aX on X in primal form, the intercept free: nothing shared with the dual form."""
    x, y, at = x.flatten(1), y.flatten(1), at.flatten(1)
    center = x.mean(0)
    right = y - slope * x
    gram = (x - center).T @ (x - center) + lam * torch.eye(x.shape[1], dtype=x.dtype)
    weights = torch.linalg.solve(gram, (x - center).T @ (right - right.mean(0)))
    return right.mean(0) + slope * at + (at - center) @ weights


def absolute(x: Tensor, lam: float) -> float:
    return lam * float((x - x.mean(0)).flatten(1).square().sum(1).mean())


def test_linear_is_ridge_regression_towards_a_line() -> None:
    x, y, at = images(9, 0), images(9, 1), images(4, 2)
    made = LinearTranslator(x, y)
    expected = fit_and_predict(x, y, made.slope, absolute(x, made.lam), at)
    torch.testing.assert_close(made(at).flatten(1), expected)


def test_leave_one_out_error_is_that_of_refits() -> None:
    x = images(9, 0)
    y = 0.5 * x + 0.2 * images(9, 1)
    made = LinearTranslator(x, y)
    lam = absolute(x, made.lam)  # the weight is fixed, the data is not
    errors = []
    for i in range(9):
        rest = torch.arange(9) != i
        found = fit_and_predict(x[rest], y[rest], made.slope, lam, x[i : i + 1])
        errors.append((found - y[i].flatten()).square().mean())
    assert made.error == pytest.approx(float(torch.stack(errors).mean()), rel=1e-9)
    assert made.lam in GRID


def test_linear_hands_on_what_is_the_same_in_both_domains() -> None:
    x = images(20, 0)
    y = x.clone()
    y[:, :, 2:] = images(20, 1)[:, :, 2:]
    slope = LinearTranslator(x, y).slope.view(3, 4, 4)
    assert float(slope[:, :2].min()) > 0.9
    assert float(slope[:, 2:].mean()) < 0.4


def test_linear_survives_inputs_that_are_all_the_same() -> None:
    x, y = torch.zeros(3, 3, 4, 4), images(3, 0).float()
    torch.testing.assert_close(LinearTranslator(x, y)(x), y.mean(0).expand(3, -1, -1, -1))


def test_linear_needs_two_identities() -> None:
    known = tiny_public()
    assert known.public.labels is not None
    one = without(known, known.public.sensitive & (known.public.labels > 0))
    with pytest.raises(UserError, match="it needs 2 and there are 1"):
        create("paired").estimate(one, torch.tensor([6]))
    create("paired", model="unet", steps=1).estimate(one, torch.tensor([6]))


@pytest.mark.parametrize("model", ["linear", "unet"])
def test_no_identity_in_both_domains(model: str) -> None:
    known = tiny_public()
    assert known.public.labels is not None
    known = without(known, ~known.public.sensitive & (known.public.labels < 6))
    with pytest.raises(UserError, match="images in both domains"):
        create("paired", model=model).estimate(known, torch.tensor([6]))


def test_the_order_of_public_images_says_nothing() -> None:
    known = tiny_public()
    order = torch.randperm(len(known.public), generator=torch.Generator().manual_seed(0))
    public = known.public
    assert public.labels is not None
    shuffled = type(known)(
        type(public)(public.images[order], public.labels[order], public.sensitive[order]),
        known.target_labels,
        known.num_classes,
    )
    labels = torch.tensor([6, 7])
    found, expected = (create("paired").estimate(k, labels) for k in (shuffled, known))
    torch.testing.assert_close(found, expected)


def test_unet_starts_as_the_identity() -> None:
    network = build(lambda: UNet(4), torch.Generator().manual_seed(0))
    assert isinstance(network, UNet)
    network.start_at_identity()
    x = torch.randn(2, 3, 32, 16)
    assert torch.equal(network(x), x)


def test_unet_keeps_the_best_weights_on_identities_held_out() -> None:
    known = tiny_public().public.labelled()
    settings = PairedSettings(model="unet", steps=4, filters=4, held_out=0.34)
    training = UNetTraining(known, settings, 0, torch.device("cpu"))
    held = set(training.identity[training.held_rows].tolist())
    assert len(held) == 2
    assert not held & set(training.identity[training.train_rows].tolist())
    for step in range(1, 5):
        training.step(step)
    kept = [value.clone() for value in training.translator().parameters()]
    assert all(torch.equal(a, b) for a, b in zip(kept, training.network.parameters(), strict=True))
    with torch.no_grad():
        training.network.last.weight.add_(10.0)  # a bad step
    training._judge()
    assert all(torch.equal(a, b) for a, b in zip(kept, training.translator().parameters(), strict=True))


def test_unet_learns() -> None:
    known = tiny_public()
    losses: list[float] = []
    prior = create("paired", model="unet", steps=60, filters=8)
    prior.listener = lambda step, loss: losses.append(loss)
    prior.prepare(known)
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])


@pytest.mark.slow
def test_paired_is_closer_to_the_truth_than_the_mean() -> None:
    from logitleak.config import DataConfig
    from logitleak.data.split import prepare
    from logitleak.sealed.truth import label_means
    from logitleak.types import Knowledge

    split = prepare(DataConfig(settings={"insensitive": "masked"}), 1, 0).split
    targets = split.truth.target_labels
    known = Knowledge(split.public, targets, split.num_classes)
    truth = label_means(split.truth.images, split.truth.labels, targets)
    scores = {name: ssim(create(name).estimate(known, targets), truth).mean() for name in ("mean", "paired")}
    assert scores["paired"] > scores["mean"] + 0.15
