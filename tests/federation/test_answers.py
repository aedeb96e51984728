"""Answers of clients are checked before use: every way in which one can be wrong is named in a few words."""

from __future__ import annotations

import pytest
import torch

from logitleak.federation.answers import Form, Shape
from logitleak.types import Payload

LOGITS = Form({"logits": Shape(torch.float32, (4, 3))})
CHANCES = Form({"p": Shape(torch.float32, (2, 2), probabilities=True)})
COUNTED = Form({}, frozenset({"images"}))


def test_a_valid_answer_has_no_fault() -> None:
    assert LOGITS.fault(Payload({"logits": torch.randn(4, 3)})) is None
    assert CHANCES.fault(Payload({"p": torch.randn(2, 2).softmax(-1)})) is None
    assert COUNTED.fault(Payload({}, {"images": 7})) is None
    assert Form().fault(Payload()) is None


def test_no_rows_are_valid_where_none_were_asked_for() -> None:
    form = Form({"logits": Shape(torch.float32, (0, 3))})
    assert form.fault(Payload({"logits": torch.empty(0, 3)})) is None


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        ({}, "sent no 'logits'"),
        ({"logits": torch.zeros(4, 3), "more": torch.zeros(1)}, "'more', which nobody asked for"),
        ({"../../evil": torch.zeros(4, 3)}, "which nobody asked for"),
        ({"logits": torch.zeros(5, 3)}, "float32 [5, 3] instead of float32 [4, 3]"),
        ({"logits": torch.zeros(4, 4)}, "float32 [4, 4] instead of float32 [4, 3]"),
        ({"logits": torch.zeros(12)}, "float32 [12] instead"),
        ({"logits": torch.zeros(4, 3, dtype=torch.float64)}, "float64 [4, 3] instead"),
        ({"logits": torch.zeros(4, 3, dtype=torch.int64)}, "int64 [4, 3] instead"),
        ({"logits": torch.full((4, 3), torch.nan)}, "NaN or infinite"),
        ({"logits": torch.full((4, 3), -torch.inf)}, "NaN or infinite"),
        ({"logits": torch.full((4, 3), 1e30)}, "values beyond"),
    ],
)
def test_faults_of_tensors(tensors: dict[str, torch.Tensor], says: str) -> None:
    assert says in str(LOGITS.fault(Payload(tensors)))


@pytest.mark.parametrize(
    "rows", [[[0.5, 0.6], [0.5, 0.5]], [[-0.5, 1.5], [0.5, 0.5]], [[0.0, 0.0], [1.0, 0.0]]]
)
def test_rows_that_are_no_probabilities(rows: list[list[float]]) -> None:
    assert "no probabilities" in str(CHANCES.fault(Payload({"p": torch.tensor(rows)})))


@pytest.mark.parametrize("images", [-1, 10**12, 2.0, "7", True])
def test_counts(images: object) -> None:
    assert "no number of images" in str(COUNTED.fault(Payload({}, {"images": images})))  # type: ignore[dict-item]


def test_scalars_that_nobody_asked_for() -> None:
    assert "nobody asked for" in str(LOGITS.fault(Payload({"logits": torch.zeros(4, 3)}, {"x": 1})))
