"""Closed forms from blocks of bytes, against everything at once; and what is held at most."""

from __future__ import annotations

import pytest
import torch
from largest import largest
from memory import MemoryView
from torch import Tensor

from logitleak.attacks import departures as module
from logitleak.attacks.base import create
from logitleak.attacks.departures import Departures
from logitleak.attacks.linear import Priors, pulled
from logitleak.attacks.validation import gcv_scores, project
from logitleak.priors import domains
from logitleak.types import PublicData

CPU = torch.device("cpu")


def public_set(count: int, side: int = 16, seed: int = 0) -> PublicData:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=generator)
    return PublicData(images, None, torch.ones(count, dtype=torch.bool))


def everything(public: PublicData, rows: Tensor) -> Tensor:
    """The departures at once, float64 [n, p]."""
    pixels = public.images[rows].double().flatten(1) / 255
    return pixels - pixels.mean(0)


@pytest.mark.parametrize("numbers", [1, 64, 1000, 1 << 22])
@pytest.mark.parametrize("rows", [torch.arange(30), torch.tensor([7, 2, 29, 4])])
def test_blocks_are_the_whole(numbers: int, rows: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NUMBERS", numbers)
    public = public_set(30)
    expected, found = everything(public, rows), Departures(public, rows, CPU)
    close = {"rtol": 0, "atol": 1e-6}
    mean = (public.images[rows].double() / 255).mean(0).flatten()
    torch.testing.assert_close(found.mean.double(), mean, **close)
    seen = torch.full(expected.shape, torch.nan)
    for columns, block in found.by_pixels():
        seen[:, columns] = block
    torch.testing.assert_close(seen.double(), expected, **close)
    torch.testing.assert_close(torch.cat(list(found.by_rows())).double(), expected, **close)
    assert found.spread == pytest.approx(float(expected.square().mean().sqrt()), rel=1e-6)
    weights = torch.randn(len(rows), 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(found.combined(weights).double(), weights.T @ expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("numbers", [200, 1 << 22])
@pytest.mark.parametrize("lam", [1e-3, 0.3])
def test_with_priors_it_is_the_normal_equations(
    numbers: int, lam: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With W itself, from all pixels at once in float64."""
    monkeypatch.setattr(module, "NUMBERS", numbers)
    public, rows, gamma = public_set(50), torch.arange(50), 0.4
    generator = torch.Generator().manual_seed(2)
    z, target = torch.randn(50, 9, generator=generator), torch.randn(4, 9, generator=generator)
    images = Departures(public, rows, CPU)
    of_labels, of_targets = (torch.rand(m, 768, generator=generator) for m in (6, 4))
    places = torch.arange(50) % 6
    found = pulled(z, target, images, lam, gamma, Priors(of_labels, places, of_targets))

    x = torch.cat([block for _, block in images.by_pixels()], 1)
    wide, t = z.double(), target.double()
    left = (1 + gamma) * wide.T @ wide + gamma * t.T @ t
    left += lam * float((wide.T @ wide).diagonal().mean()) * torch.eye(9, dtype=torch.float64)
    own, wanted = of_labels[places] - images.mean, of_targets - images.mean
    right = wide.T @ (x + gamma * own).double() + gamma * t.T @ wanted.double()
    expected = t @ torch.linalg.solve(left, right)
    assert float((found - expected).norm() / expected.norm()) < 1e-10
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_scores_do_not_depend_on_blocks() -> None:
    public, rows = public_set(40), torch.arange(40)
    x = everything(public, rows)
    z = torch.randn(40, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    at_once, in_parts = (gcv_scores(z, blocks, (1e-2, 1.0)) for blocks in ([x], x.split(100, 1)))
    torch.testing.assert_close(in_parts, at_once, rtol=1e-12, atol=0)
    one, other = (project(blocks, torch.Generator().manual_seed(1)) for blocks in ([x], x.split(9)))
    torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("attack", "settings"),
    [
        ("ridge", {"tau": 3.0, "lam": 0.1}),
        ("ridge", {"tau": 3.0, "lam": 0.1, "gamma": 0.5}),
        ("ridge", {}),
        ("ridge", {"tune": "gcv", "gamma": 0.5}),
        ("gap", {"reference": "others"}),
        ("gap", {"reference": "server"}),
    ],
)
def test_no_number_for_every_pixel_of_every_row(
    attack: str, settings: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The largest tensor is the public set in bytes, where it was those rows in floats or in double precision."""
    monkeypatch.setattr(module, "NUMBERS", 1 << 14)
    monkeypatch.setattr(domains, "CHUNK", 16)
    view = MemoryView(clients=2, rounds=1, classes=150, side=32)
    made = create(attack, settings)

    def work() -> None:
        made.check(view)
        made.observe(view, 1)
        for k in range(2):
            made.reconstruct_client(view, k)

    seen = largest(work)
    assert seen.size <= view.knowledge.public.images.numel(), seen.what
