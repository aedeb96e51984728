"""Encrypted sums: exact, added by who cannot read, refused where they do not fit."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch

from logitleak import registry
from logitleak.aggregation.ckks import CKKS, CKKSSettings
from logitleak.errors import UserError
from needs import needs

needs_tenseal = needs("tenseal")


def no_secrets(*names: str | int) -> bytes:
    raise AssertionError("TenSEAL draws its own keys")


def summing(clients: int = 3, kind: Any = "logits", **settings: Any) -> CKKS:
    return CKKS(CKKSSettings.model_validate(settings), kind, clients, no_secrets)


def values(shape: tuple[int, ...], client: int) -> torch.Tensor:
    return 8 * torch.randn(shape, generator=torch.Generator().manual_seed(client))


@needs_tenseal
@pytest.mark.parametrize(
    "shape", [(3, 5), (64, 32), (64, 33), (211, 29)]
)  # less, just, and more than a chunk
def test_the_sum_is_the_fixed_point_sum_to_the_bit(shape: tuple[int, ...]) -> None:
    made = summing()
    uploads = [values(shape, k) for k in range(3)]
    sealed = {k: made.seal(k, 1, one) for k, one in enumerate(uploads)}
    scale = 2.0**made.numbers.fraction
    whole = sum((one.double() * scale).round() for one in uploads)
    assert torch.equal(made.mean(1, sealed, []), (whole / scale / 3).to(torch.float32))
    chunks = -(-shape[0] * shape[1] // 2048)
    for one in sealed.values():
        assert len(one.parts) == chunks
        assert one.nbytes == pytest.approx(made.nbytes(shape[0] * shape[1]), rel=0.01)


@needs_tenseal
def test_probabilities_and_absent_clients() -> None:
    made = summing(4, "probabilities")
    uploads = {k: values((30, 7), k).softmax(1) for k in (0, 2)}
    mean = made.mean(1, {k: made.seal(k, 1, one) for k, one in uploads.items()}, [1, 3])
    torch.testing.assert_close(mean, (uploads[0] + uploads[2]) / 2, rtol=0, atol=made.numbers.step)


@needs_tenseal
def test_the_server_can_add_and_not_read() -> None:
    import tenseal

    made = summing()
    sealed = made.seal(0, 1, values((3, 5), 0))
    assert made._clients.is_private()
    assert not made._server.is_private()
    assert not tenseal.context_from(made._server.serialize(save_secret_key=True)).is_private()
    with pytest.raises(ValueError, match="secret_key"):
        tenseal.ckks_vector_from(made._server, sealed.parts[0]).decrypt()
    other = summing()  # and another federation's key opens nothing
    read = tenseal.ckks_vector_from(other._clients, sealed.parts[0]).decrypt()
    assert max(map(abs, read)) > 1e3
    again = made.seal(0, 1, values((3, 5), 0))
    assert again.parts[0] != sealed.parts[0]  # the same content is never the same ciphertext


@pytest.mark.parametrize(
    ("settings", "clients", "said"),
    [
        ({"chain": [54]}, 3, "too short"),
        ({"chain": [60, 60]}, 3, "secure up to 109"),
        ({"degree": 8192, "chain": [60, 60, 60, 60]}, 3, "secure up to 218"),
        ({"scale_bits": 50}, 3, "room for a scale of 43 bits"),
        ({"chain": [30, 55]}, 3, "room for a scale of 19 bits"),
        ({"range": 1e9}, 3, "room for a scale"),
        ({}, 10**7, "room for a scale"),
        ({"range": 0.5, "scale_bits": 24}, 3, "values up to 0.5 only 8 steps above the noise of ckks"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(settings: dict[str, Any], clients: int, said: str) -> None:
    with pytest.raises(UserError, match=said) as why:
        summing(clients, **settings)
    assert "\n" not in str(why.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"scale_bits": 24}, "A scale of 24 bits leaves values up to 1 only 16 steps"),
        ({"chain": [30, 40]}, "only 128 steps"),
        ({"range": 0.9}, "a range of 0.9 clips them"),
    ],
)
def test_probabilities_that_are_not_told_apart_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said) as why:
        summing(3, "probabilities", **settings)
    assert "\n" not in str(why.value)


@pytest.mark.parametrize("kind", ["ckks", "secure-sum"])
@pytest.mark.parametrize("largest", [0, 1e-300, 1e-4, 1e10, 1e308, float("nan")])
def test_a_range_of_no_use_is_no_setting(kind: str, largest: float) -> None:
    with pytest.raises(UserError, match=f"aggregator {kind}.*range") as why:
        registry.settings(
            f"aggregator {kind}", registry.load("aggregator", kind).Settings, {"range": largest}
        )
    assert "\n" not in str(why.value)


@needs_tenseal
def test_the_scale_gives_way_to_many_clients() -> None:
    assert summing(10).scale_bits == 40
    assert summing(1000).scale_bits == 35


def test_without_tenseal_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tenseal", None)
    with pytest.raises(UserError, match=r'pip install "logitleak\[he\]"'):
        summing()
