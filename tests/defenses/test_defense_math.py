"""Every defense against a literal transcription of what it says: one row at a time, plain loops."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from logitleak import registry
from logitleak.defenses.base import Defense
from logitleak.defenses.draws import Seeded, System, laplace, normal
from logitleak.defenses.spaces import Kind, convert, onto_simplex

Row = list[float]
CLASSES = 6


def made(name: str, kind: Kind = "probabilities", **values: Any) -> Defense:
    cls = registry.load("defense", name)
    defense: Defense = cls(registry.settings(name, cls.Settings, values), kind, System())
    return defense


def applied(defense: Defense, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    values = torch.from_numpy(rows)
    return defense.on_upload(values, torch.arange(len(values)), 1).numpy()


def rounded(p: Row, digits: int) -> Row:
    kept = [round(x * 10**digits) for x in p]  # Python rounds half to even
    return [x / sum(kept) for x in kept] if sum(kept) else [1 / len(p)] * len(p)


def top(p: Row, k: int) -> Row:
    if k >= len(p):
        return p
    best = sorted(range(len(p)), key=lambda j: (-p[j], j))[:k]
    left = sum(p[j] for j in range(len(p)) if j not in best) / (len(p) - k)
    return [p[j] if j in best else left for j in range(len(p))]


def labelled(p: Row) -> Row:
    best = max(range(len(p)), key=lambda j: (p[j], -j))
    return [float(j == best) for j in range(len(p))]


def bounded(p: Row, most: float) -> Row:
    uniform = 1 / len(p)
    if max(p) <= most:
        return p
    if most <= uniform:
        return [uniform] * len(p)
    share = (most - uniform) / (max(p) - uniform)
    return [share * x + (1 - share) * uniform for x in p]


def softened(p: Row, tau: float) -> Row:
    powers = [x ** (1 / tau) for x in p]
    return [x / sum(powers) for x in powers]


ORACLES: dict[str, tuple[Callable[..., Row], Mapping[str, Any]]] = {
    "round": (rounded, {"digits": 1}),
    "top-k": (top, {"k": 2}),
    "hard-label": (labelled, {}),
    "clip-confidence": (bounded, {"most": 0.4}),
    "temperature": (softened, {"tau": 4.0}),
}


@given(st.lists(st.floats(-8, 8, width=32), min_size=CLASSES, max_size=CLASSES))
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("name", ORACLES)
def test_literally(name: str, logits: list[float]) -> None:
    oracle, values = ORACLES[name]
    p = torch.tensor([logits], dtype=torch.float64).softmax(-1).numpy()
    (found,) = applied(made(name, **values), p)
    np.testing.assert_allclose(found, oracle(p[0].tolist(), *values.values()), atol=1e-12)


@pytest.mark.parametrize(
    ("name", "values", "row", "expected"),
    [
        ("round", {"digits": 1}, [0.04] * 25, [0.04] * 25),  # everything is rounded to 0
        ("round", {"digits": 1}, [0.35, 0.25, 0.4], [0.4 / 1.0, 0.2 / 1.0, 0.4 / 1.0]),  # half to even
        ("round", {"digits": 2}, [0.994, 0.004, 0.002], [1, 0, 0]),
        (
            "top-k",
            {"k": 1},
            [0.3, 0.3, 0.4 / 2, 0.2],
            [0.3, 0.7 / 3, 0.7 / 3, 0.7 / 3],
        ),  # the first of equal ones
        ("top-k", {"k": 9}, [0.6, 0.4], [0.6, 0.4]),
        ("hard-label", {}, [0.2, 0.4, 0.4], [0, 1, 0]),
        ("clip-confidence", {"most": 0.5}, [1, 0, 0, 0], [0.5, 1 / 6, 1 / 6, 1 / 6]),
        ("clip-confidence", {"most": 0.1}, [0.7, 0.3], [0.5, 0.5]),
        ("clip-confidence", {"most": 1}, [1, 0], [1, 0]),
        ("temperature", {"tau": 2}, [1, 0], [1, 0]),
        ("temperature", {"tau": 2}, [0.8, 0.2], [2 / 3, 1 / 3]),
    ],
)
def test_by_hand(name: str, values: dict[str, Any], row: Row, expected: Row) -> None:
    (found,) = applied(made(name, **values), np.array([row], float))
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_temperature_of_logits_is_a_division() -> None:
    rows = np.random.default_rng(0).normal(size=(3, 4))
    np.testing.assert_allclose(applied(made("temperature", "logits", tau=4), rows), rows / 4)


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_sparse(kind: Kind) -> None:
    """Just the share of rows is exact, others in each round, and the rest says nothing."""
    values = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
    values = values if kind == "logits" else values.softmax(-1)
    cls = registry.load("defense", "sparse")
    defense = cls(cls.Settings(share=0.3), kind, Seeded(0, "x"))
    answered = []
    for round in (1, 2):
        sent = defense.on_upload(values, torch.arange(40), round)
        exact = (sent == values).all(1)
        answered.append(exact)
        assert int(exact.sum()) == 12
        assert bool((sent[~exact] == (0 if kind == "logits" else 0.2)).all())
    assert not torch.equal(*answered)
    assert int((defense.on_upload(values[:1], torch.arange(1), 1) == values[:1]).all()) == 1
    everything = cls(cls.Settings(share=1), kind, Seeded(0, "x"))
    assert torch.equal(everything.on_upload(values, torch.arange(40), 1), values)


@pytest.mark.parametrize(("name", "order"), [("gaussian", 2), ("laplace", 1)])
def test_rows_are_clipped_then_noised(name: str, order: int) -> None:
    """The same numbers of the same stream, added to rows that are scaled down where they are too long."""
    size = "sigma" if name == "gaussian" else "scale"
    cls = registry.load("defense", name)
    defense = cls(cls.Settings(**{"clip": 3.0, size: 0.5}), "logits", Seeded(4, "here"))
    values = torch.tensor([[0.0, 0, 0], [1, -1, 0.5], [30, 40, 0], [1e8, 0, 0]], dtype=torch.float64)
    sent = defense.on_upload(values, torch.arange(4), 7)
    uniform = Seeded(4, "here").uniform((4, 3), 7)
    for i in range(4):
        norm = float(values[i].norm(order))
        for j in range(3):
            u = float(uniform[i, j])
            noise = stats.norm.ppf(u) if name == "gaussian" else stats.laplace.ppf(u)
            expected = float(values[i, j]) * min(1, 3 / norm if norm else 1) + 0.5 * noise
            assert math.isclose(float(sent[i, j]), expected, rel_tol=1e-9, abs_tol=1e-9)


def test_numbers_have_the_distribution_that_they_should() -> None:
    uniform = System().uniform((50_000,), 1)
    assert stats.kstest(normal(uniform).numpy(), "norm").pvalue > 1e-4
    assert stats.kstest(laplace(uniform).numpy(), "laplace").pvalue > 1e-4


@pytest.mark.parametrize("digits", [1, 2, 3])
@pytest.mark.parametrize("classes", [2, 7, 300])
def test_the_mark_of_rounding(digits: int, classes: int) -> None:
    """Whole numbers over their sum, at every confidence, and in logits too; what was not rounded lacks it."""
    defense = made("round", digits=digits)
    for spread in (0.1, 2.0, 10.0):
        logits = spread * torch.randn(50, classes, generator=torch.Generator().manual_seed(3))
        sent = defense.on_upload(logits.softmax(-1), torch.arange(50), 1)
        assert defense.fits(sent) is True
        assert (
            defense.fits(convert(convert(sent, "probabilities", "logits"), "logits", "probabilities")) is True
        )
    assert (
        defense.fits(torch.randn(50, classes, generator=torch.Generator().manual_seed(4)).softmax(-1))
        is False
    )


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_projection_onto_distributions(row: list[float]) -> None:
    """The shift that makes what is above it add up to 1, found by a root finder."""
    (found,) = onto_simplex(torch.tensor([row], dtype=torch.float64)).numpy()
    shift = optimize.brentq(lambda t: sum(max(x - t, 0) for x in row) - 1, min(row) - 2, max(row), xtol=1e-14)
    np.testing.assert_allclose(found, [max(x - shift, 0) for x in row], atol=1e-9)
    assert math.isclose(found.sum(), 1, rel_tol=1e-9)


def test_probabilities_that_are_noised_are_projected() -> None:
    cls = registry.load("defense", "gaussian")
    defense = cls(cls.Settings(clip=0.5, sigma=0.2), "probabilities", Seeded(1, "p"))
    values = torch.tensor([[1.0, 0, 0], [0.4, 0.3, 0.3]], dtype=torch.float64)
    clipped = torch.stack([values[0] * 0.5, values[1] * 0.5 / values[1].norm()])
    noised = clipped + 0.2 * normal(Seeded(1, "p").uniform((2, 3), 1))
    torch.testing.assert_close(defense.on_upload(values, torch.arange(2), 1), onto_simplex(noised))
