"""Masks that cancel: the sum to the bit, one upload as noise, clients that stay away."""

from __future__ import annotations

import logging
from functools import partial

import numpy as np
import pytest
import torch
from scipy.stats import chi2
from torch import Tensor

from logitleak.aggregation.base import Sealed
from logitleak.aggregation.masks import centered, expand, pack, unpack
from logitleak.aggregation.secure_sum import SecureSum, SecureSumSettings
from logitleak.errors import UserError
from logitleak.seeds import derive_bytes

SHAPE = (40, 25)


def summing(clients: int, seed: int = 0, kind: str = "logits", **settings: object) -> SecureSum:
    parsed = SecureSumSettings.model_validate(settings)
    return SecureSum(parsed, kind, clients, partial(derive_bytes, seed, "test"))  # type: ignore[arg-type]


def uploads(clients: int, spread: float = 8.0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(clients)
    return [spread * torch.randn(SHAPE, generator=generator) for _ in range(clients)]


def fixed_point_sum(made: SecureSum, values: list[Tensor]) -> list[int]:
    """By Python's whole numbers: no masks, no words."""
    scale = 2.0**made.numbers.fraction
    return [
        sum(round(float(one) * scale) for one in column)
        for column in torch.stack(values).flatten(1).T.double().tolist()
    ]


@pytest.mark.parametrize("bits", [16, 24, 32, 40, 48])
@pytest.mark.parametrize("clients", [2, 3, 7])
def test_the_sum_is_the_fixed_point_sum_to_the_bit(clients: int, bits: int) -> None:
    made, values = summing(clients, bits=bits, range=32), uploads(clients, 4.0)
    sealed = {k: made.seal(k, 3, one) for k, one in enumerate(values)}
    assert made.total(3, sealed, []).tolist() == fixed_point_sum(made, values)
    assert all(one.nbytes == made.nbytes(1000) == 1000 * bits // 8 for one in sealed.values())


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_the_mean_is_the_float_mean_within_half_a_step(kind: str) -> None:
    values = uploads(5) if kind == "logits" else [one.softmax(1) for one in uploads(5)]
    made = summing(5, kind=kind)
    mean = made.mean(1, {k: made.seal(k, 1, one) for k, one in enumerate(values)}, [])
    assert mean.dtype == torch.float32
    exact = torch.stack(values).double().mean(0)
    rounding = exact.abs().max() * torch.finfo(torch.float32).eps
    assert float((mean.double() - exact).abs().max()) <= made.numbers.step / 2 + float(rounding)


@pytest.mark.parametrize("clients", [2, 3, 10, 1000])
@pytest.mark.parametrize("bits", [24, 32, 40, 48])
def test_the_largest_values_of_all_do_not_wrap(clients: int, bits: int) -> None:
    made = summing(clients, bits=bits, range=7.3)
    assert clients * made.numbers.limit <= 2 ** (bits - 1) - 1
    assert 2 * clients * 7.3 * 2.0**made.numbers.fraction > 2 ** (bits - 1) - 1  # and no step could be finer
    if clients <= 10:
        for sign in (-1, 1):
            everything = {k: made.seal(k, 1, sign * torch.full((3, 2), 7.3)) for k in range(clients)}
            assert made.total(1, everything, []).tolist() == [sign * clients * made.numbers.limit] * 6


def test_what_is_beyond_the_range_is_clipped_at_the_client_and_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = summing(2, range=2)
    values = torch.tensor([[1.5, 3.0, -9.0]])
    with caplog.at_level(logging.WARNING):
        sealed = {k: made.seal(k, 4, values) for k in range(2)}
    assert made.mean(4, sealed, []).tolist() == [[1.5, 2.0, -2.0]]
    assert [r.getMessage() for r in caplog.records] == [
        f"round 4: client {k} clipped 2 of 3 values at ±2 before the sum" for k in range(2)
    ]


def test_a_range_with_too_few_steps_is_refused_in_one_line() -> None:
    with pytest.raises(
        UserError, match="Words of 16 bits leave 1000 clients .* raise federation.aggregation"
    ) as why:
        summing(1000, bits=16)
    assert "\n" not in str(why.value)


def test_a_range_that_clips_probabilities_is_refused_in_one_line() -> None:
    with pytest.raises(UserError, match="a range of 0.5 clips them; leave out") as why:
        summing(3, kind="probabilities", bits=16, range=0.5)
    assert "\n" not in str(why.value)
    assert summing(3, kind="probabilities", range=2).numbers.largest == 2


@pytest.mark.parametrize("bits", [16, 32, 48])
@pytest.mark.parametrize("content", ["zeros", "ones", "uploads"])
def test_one_masked_upload_is_uniform_whatever_it_holds(bits: int, content: str) -> None:
    """Every byte of 30,000 words, by a chi-square test at 1 in 10,000."""
    made = summing(3, seed=5, bits=bits)
    given = torch.full((300, 100), {"zeros": 0.0, "ones": 1.0}.get(content, 0.0))
    if content == "uploads":
        given = 8 * torch.randn(300, 100, generator=torch.Generator().manual_seed(0))
    for client in range(3):
        raw = np.frombuffer(made.seal(client, 1, given).parts[0], np.uint8).reshape(-1, bits // 8)
        for column in raw.T:
            counts = np.bincount(column, minlength=256)
            statistic = ((counts - len(column) / 256) ** 2 / (len(column) / 256)).sum()
            assert statistic < chi2.isf(1e-4 / (3 * bits // 8), 255)


def test_under_a_uniform_mask_two_contents_have_the_same_law() -> None:
    """For two clients and words of 16 bits: over all masks every content gives every word once."""
    made = summing(2, bits=16)
    masks = np.arange(2**16, dtype=np.uint64)
    values = torch.tensor([[0.0], [-3.25]])
    for value in values:
        whole = made.numbers.encode(value)[0].astype(np.uint64)
        words = (whole + masks) & np.uint64(0xFFFF)
        assert len(np.unique(words)) == 2**16


def test_masks_differ_by_pair_by_round_and_by_seed() -> None:
    zeros = torch.zeros(SHAPE)
    sent = [
        summing(3, seed).seal(client, round, zeros).parts[0]
        for seed in (0, 1) for round in (1, 2) for client in range(3)
    ]  # fmt: skip
    words = np.stack([unpack(one, 4) for one in sent])
    agree = (words[:, None] == words[None]).mean(2) - np.eye(len(words))
    assert agree.max() < 0.01
    assert summing(3).seal(1, 1, zeros) == summing(3).seal(1, 1, zeros)  # a simulation can be repeated


@pytest.mark.parametrize("absent", [[0], [4], [1, 3], [0, 1, 2]])
def test_masks_of_clients_that_stay_away_are_taken_from_the_sum(absent: list[int]) -> None:
    made, values = summing(5), uploads(5)
    here = {k: made.seal(k, 2, one) for k, one in enumerate(values) if k not in absent}
    expected = fixed_point_sum(made, [values[k] for k in here])
    assert made.total(2, here, absent).tolist() == expected
    assert made.total(2, here, []).tolist() != expected  # else there would be nothing to take


def test_a_part_of_the_clients_is_noise() -> None:
    made, values = summing(4), uploads(4)
    part = {k: made.seal(k, 1, values[k]) for k in (0, 1)}
    off = made.numbers.mean(made.total(1, part, []), 2, SHAPE) - torch.stack(values[:2]).mean(0)
    assert float(off.abs().median()) > 50


@pytest.mark.parametrize("width", [1, 2, 3, 5, 6])
def test_words_travel_and_come_back(width: int) -> None:
    words = expand(b"secret", "round 1", 100, width)
    assert int(words.max()) < 256**width
    raw = pack(words, width)
    assert len(raw) == 100 * width
    assert unpack(raw, width).tolist() == words.tolist()
    assert raw == b"".join(int(word).to_bytes(width, "little") for word in words)
    half = 256**width // 2
    ends = np.array([0, half - 1, half, 256**width - 1], np.uint64)
    assert centered(ends, width).tolist() == [0, half - 1, -half, -1]


def test_what_is_sent_has_a_size() -> None:
    assert Sealed((b"12", b"345"), (5,)).nbytes == 5
