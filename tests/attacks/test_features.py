"""Inputs of the inversion: Eq. 2, 4 and 6."""

import math

import numpy as np
import pytest
import torch
from memory import MemoryView
from scipy.optimize import minimize

from logitleak.attacks.features import Q, input_width, public_inputs, target_inputs, tempered


def quality(p: np.ndarray, label: int, alpha: float) -> float:  # type: ignore[type-arg]
    """The server's part of Eq. 4: p⁰_j + α·H(p⁰)."""
    return float(p[label] - alpha * np.sum(p * np.log(np.clip(p, 1e-300, None))))


@pytest.mark.parametrize("alpha", [0.3, 1.0, 5.0])
@pytest.mark.parametrize("classes", [2, 5, 12])
def test_equation_6_maximizes_q(alpha: float, classes: int) -> None:
    label = classes - 1
    found = target_inputs(torch.tensor([label]), classes, alpha, "server")[0].double().numpy()
    assert found.sum() == pytest.approx(1, abs=1e-6)

    def negative(free: np.ndarray) -> float:  # type: ignore[type-arg]
        p = np.exp(free - free.max())
        return -quality(p / p.sum(), label, alpha)

    best = minimize(negative, np.zeros(classes), method="BFGS", options={"gtol": 1e-9})
    numeric = np.exp(best.x - best.x.max())
    numeric /= numeric.sum()
    np.testing.assert_allclose(found, numeric, atol=1e-5)
    assert quality(found, label, alpha) >= -best.fun - 1e-6


def test_equation_6_as_the_paper_writes_it() -> None:
    alpha, classes = 5.0, 1000
    pair = target_inputs(torch.tensor([3, 700]), classes, alpha, "full")
    assert pair.shape == (2, 2000)
    e = math.exp(1 / alpha)
    for row, label in zip(pair, (3, 700), strict=True):
        server, client = row[:classes], row[classes:]
        assert float(server[label]) == pytest.approx(e / (classes - 1 + e), rel=1e-5)
        others = torch.cat([server[:label], server[label + 1 :]])
        torch.testing.assert_close(
            others, torch.full((classes - 1,), 1 / (classes - 1 + e)), rtol=1e-5, atol=0
        )
        assert client.tolist() == torch.nn.functional.one_hot(torch.tensor(label), classes).tolist()
        assert float(server.sum()) == pytest.approx(1, abs=1e-5)


def test_small_alpha_does_not_overflow() -> None:
    found = target_inputs(torch.tensor([1]), 4, 1e-4, "server")
    assert found.tolist() == [[0, 1, 0, 0]]


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("client", [0, 1, 0]),
        ("client+server", [0, 1, 0, 0, 1, 0]),
        ("client+entropy", [1 / 3, 1 / 3, 1 / 3, 0, 1, 0]),
    ],
)
def test_ablations(q: Q, expected: list[float]) -> None:
    found = target_inputs(torch.tensor([1]), 3, 5.0, q)
    torch.testing.assert_close(found, torch.tensor([expected], dtype=torch.float32))
    assert found.shape[1] == input_width(q, 3)


def test_public_inputs_pair_server_and_client() -> None:
    view = MemoryView()
    wanted = view.knowledge.public.rows("sensitive")
    rows, pair = public_inputs(view, 1, 2, 3.0, "full", wanted)
    assert torch.equal(rows, wanted)
    for i, row in enumerate(rows.tolist()):
        server = np.exp(view.logits[-1, 1, row].double().numpy() / 3)
        client = np.exp(view.logits[1, 1, row].double().numpy() / 3)
        expected = np.concatenate([server / server.sum(), client / client.sum()])
        np.testing.assert_allclose(pair[i].numpy(), expected, atol=1e-6)


def test_only_transmitted_rows_are_used() -> None:
    view = MemoryView(rows=torch.tensor([1, 3, 4, 25]))
    rows, inputs = public_inputs(view, 0, 1, 1.0, "client", view.knowledge.public.rows("sensitive"))
    assert rows.tolist() == [1, 3, 4]
    torch.testing.assert_close(inputs, torch.softmax(view.logits[0, 0, [1, 3, 4]], -1))


def test_temperature() -> None:
    logits = torch.tensor([2.0, 0.0])
    assert float(tempered(logits, 2.0)[0]) == pytest.approx(math.e / (math.e + 1))
