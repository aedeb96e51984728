"""What every registered aggregator that hides uploads must do, whatever it does."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch

from logitleak import registry
from logitleak.aggregation.base import Aggregator, Hiding
from logitleak.errors import UserError
from logitleak.seeds import derive_bytes
from needs import require

KINDS = ("logits", "probabilities")
HIDING = [
    name
    for name in registry.names("aggregator")
    if issubclass(registry.load("aggregator", name), Hiding)
]  # fmt: skip


def made(name: str, kind: Any = "logits", clients: int = 4, **settings: Any) -> Hiding:
    if name == "ckks":
        require("tenseal")
    cls = registry.load("aggregator", name)
    parsed = registry.settings(f"aggregator {name}", cls.Settings, settings)
    hiding: Hiding = cls(parsed, kind, clients, partial(derive_bytes, 0, "contract"))
    return hiding


def upload(kind: str, client: int, rows: int = 40) -> torch.Tensor:
    logits = 6 * torch.randn(rows, 12, generator=torch.Generator().manual_seed(client))
    return logits if kind == "logits" else logits.softmax(-1)


@pytest.mark.parametrize("name", registry.names("aggregator"))
def test_is_an_aggregator_and_refuses_unknown_settings_in_one_line(name: str) -> None:
    cls = registry.load("aggregator", name)
    assert issubclass(cls, Aggregator)
    assert cls.__doc__
    with pytest.raises(UserError, match='has no setting "nonsense"'):
        registry.settings(f"aggregator {name}", cls.Settings, {"nonsense": 1})


@pytest.mark.parametrize("name", HIDING)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("absent", [[], [2], [0, 3]])
def test_the_mean_is_that_of_those_who_answered(name: str, kind: str, absent: list[int]) -> None:
    hiding = made(name, kind)
    uploads = {k: upload(kind, k) for k in range(4) if k not in absent}
    mean = hiding.mean(2, {k: hiding.seal(k, 2, one) for k, one in uploads.items()}, absent)
    assert mean.dtype == torch.float32
    expected = torch.stack(list(uploads.values())).double().mean(0)
    torch.testing.assert_close(mean.double(), expected, rtol=1e-6, atol=2e-6)


@pytest.mark.parametrize("name", HIDING)
def test_the_mean_can_be_had_again_to_the_bit(name: str) -> None:
    """Whatever keys are drawn: a run that was stopped goes on with the same numbers."""
    found = []
    for _ in range(2):
        hiding = made(name)
        found.append(hiding.mean(1, {k: hiding.seal(k, 1, upload("logits", k)) for k in range(4)}, []))
    assert torch.equal(*found)


@pytest.mark.parametrize("name", HIDING)
def test_what_is_sent_says_nothing_of_what_it_holds(name: str) -> None:
    """Neither the bytes of the values nor the sizes of what is sent depend on the content."""
    hiding = made(name)
    values = upload("logits", 0, rows=200)
    sent, other = hiding.seal(0, 1, values), hiding.seal(0, 1, torch.zeros_like(values))
    assert sent.shape == other.shape == tuple(values.shape)
    assert sent.nbytes == pytest.approx(other.nbytes, rel=0.01)
    assert sent.nbytes == pytest.approx(hiding.nbytes(values.numel()), rel=0.01)
    joined = b"".join(sent.parts)
    for whole in (values.numpy().tobytes()[:16], values.double().numpy().tobytes()[:16]):
        assert whole not in joined


@pytest.mark.parametrize("name", HIDING)
def test_says_how_and_takes_values_of_any_layout(name: str) -> None:
    hiding = made(name)
    assert hiding.how.endswith(".")
    assert hiding.seen_by in ("server", "client")
    turned = upload("logits", 0).T
    strided = hiding.mean(1, {k: hiding.seal(k, 1, turned) for k in range(4)}, [])
    torch.testing.assert_close(strided, turned, rtol=1e-6, atol=2e-6)
