"""What a server that knows of a defense makes of an upload, against what the model had said."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from logitleak import registry
from logitleak.defenses.base import Defense
from logitleak.defenses.draws import Seeded
from logitleak.defenses.noise import READABLE, Noise
from logitleak.defenses.shield import Shield
from logitleak.defenses.spaces import LEAST, Kind, convert
from logitleak.defenses.undoing import undone, undone_by_means
from logitleak.types import Payload

KINDS: tuple[Kind, ...] = ("logits", "probabilities")
ROWS, CLASSES = 40, 30

UNDONE = {"temperature", "clip-confidence", "sparse"}
MADE_SMALLER = {"gaussian", "laplace"}
"""Read at another scale; their uploads stay what they are."""


def made(name: str, kind: Kind, **values: Any) -> Defense:
    cls = registry.load("defense", name)
    defense: Defense = cls(registry.settings(name, cls.Settings, values), kind, Seeded(0, "test"))
    return defense


def outputs(kind: Kind, seed: int = 0, spread: float = 4.0, classes: int = CLASSES) -> Tensor:
    """Rows as models say them, float32 as they travel."""
    logits = spread * torch.randn(ROWS, classes, generator=torch.Generator().manual_seed(seed))
    return logits if kind == "logits" else logits.softmax(-1)


def sent(values: Tensor, kind: Kind, *defenses: Defense, round: int = 1) -> Tensor:
    """What leaves a client with these defenses."""
    shield = Shield(("upload", kind), kind, defenses)
    return shield.guard("upload", round, Payload(), Payload({kind: values})).tensors[kind]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", registry.names("defense"))
def test_what_brings_no_undo_is_read_as_it_is(name: str, kind: Kind) -> None:
    defense = made(name, kind)
    assert bool(defense.undoing) is (name in UNDONE | MADE_SMALLER)
    assert defense.scale == 1.0  # at their default strengths no noise is above what a softmax can read
    assert defense.undoing == "" or defense.undoing.endswith(".")
    found, heard = undone(outputs(kind), kind, [defense])
    assert (found.shape, found.dtype) == ((ROWS, CLASSES), torch.float64)
    assert (heard.shape, heard.dtype) == ((ROWS,), torch.bool)
    if name not in UNDONE:
        assert torch.equal(found, outputs(kind).double())
        assert bool(heard.all())
    none, of_none = undone(outputs(kind)[:0], kind, [defense])
    assert (none.shape, of_none.shape) == ((0, CLASSES), (0,))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("classes", [1, 2, 300])
@pytest.mark.parametrize("name", sorted(UNDONE))
def test_what_is_read_is_a_message_of_the_scheme(name: str, kind: Kind, classes: int) -> None:
    """Rows that are sure beyond all numbers, or that know nothing, too."""
    logits = 3 * torch.randn(12, classes, generator=torch.Generator().manual_seed(1))
    logits[0], logits[0, -1], logits[1] = 0, 1e4, 0
    values = logits if kind == "logits" else logits.softmax(-1)
    for strength in registry.load("defense", name).strengths:
        defense = made(name, kind, **strength)
        found, _ = undone(sent(values, kind, defense), kind, [defense])
        assert bool(found.isfinite().all())
        if kind == "probabilities":
            assert bool((found >= 0).all())
            torch.testing.assert_close(found.sum(-1), torch.ones(12).double())


@given(tau=st.floats(0.2, 200), seed=st.integers(0, 50))
@settings(max_examples=40, deadline=None)
def test_temperature_of_logits_is_taken_off(tau: float, seed: int) -> None:
    defense, values = made("temperature", "logits", tau=tau), outputs("logits", seed)
    found, heard = undone(sent(values, "logits", defense), "logits", [defense])
    torch.testing.assert_close(found, values.double(), rtol=1e-6, atol=1e-6)
    assert bool(heard.all())


@given(tau=st.floats(1, 100), seed=st.integers(0, 50))
@settings(max_examples=40, deadline=None)
def test_temperature_of_probabilities_is_taken_off(tau: float, seed: int) -> None:
    """Up to the float32 in which they travel: a relative error of 2⁻²⁴ in every entry, τ times in what is undone."""
    defense, values = made("temperature", "probabilities", tau=tau), outputs("probabilities", seed, 1.0)
    found, _ = undone(sent(values, "probabilities", defense), "probabilities", [defense])
    torch.testing.assert_close(found, values.double(), rtol=tau * 1e-6, atol=0)


def test_what_a_sharper_softmax_took_below_all_numbers_stays_lost() -> None:
    values = torch.tensor([[1 - 1e-30, 1e-30, 0.0]], dtype=torch.float32)
    defense = made("temperature", "probabilities", tau=0.5)
    (found,), _ = undone(sent(values, "probabilities", defense), "probabilities", [defense])
    assert found.tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("share", [0.5, 0.2, 0.05])
@pytest.mark.parametrize("kind", KINDS)
def test_neutral_rows_are_exactly_those_recognized(kind: Kind, share: float) -> None:
    """Both ways: no row that was answered is left out, and no neutral one is kept."""
    values = outputs(kind)
    values[3] = (
        1e-6 * values[3] if kind == "logits" else (1e-4 * values[3].log()).softmax(-1)
    )  # nearly neutral
    for round in range(1, 6):
        defense = made("sparse", kind, share=share)
        left = sent(values, kind, defense, round=round)
        found, heard = undone(left, kind, [defense])
        assert torch.equal(heard, (left == values).all(-1))
        assert int(heard.sum()) == max(1, int(share * ROWS + 0.5))
        assert torch.equal(found[heard], values[heard].double())


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_that_is_neutral_itself_cannot_be_told(kind: Kind) -> None:
    """It says as little of any class, and is left out."""
    values = outputs(kind)
    values[:] = 0.0 if kind == "logits" else 1 / CLASSES
    values[0] = outputs(kind)[0]
    defense = made("sparse", kind, share=1.0)
    _, heard = undone(sent(values, kind, defense), kind, [defense])
    assert heard.tolist() == [True] + [False] * (ROWS - 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("later", ["temperature", "round", "clip-confidence", "top-k"])
def test_neutral_rows_are_recognized_behind_other_defenses(later: str, kind: Kind) -> None:
    both = [made("sparse", kind), made(later, kind)]
    values = outputs(kind)
    answered = (sent(values, kind, both[0]) == values).all(-1)
    _, heard = undone(sent(values, kind, *both), kind, both)
    assert torch.equal(heard, answered)


@pytest.mark.parametrize("most", [0.9, 0.5, 0.2])
@pytest.mark.parametrize("kind", KINDS)
def test_clipped_rows_are_unmixed_but_for_their_smallest_probability(kind: Kind, most: float) -> None:
    defense, values = made("clip-confidence", kind, most=most), outputs(kind)
    p = convert(values, kind, "probabilities").double()
    found, _ = undone(sent(values, kind, defense), kind, [defense])
    q = convert(found, kind, "probabilities")
    least = p.amin(-1, keepdim=True)
    # |p − u| ≤ 1 is stretched by 1/(1 − J·m); logits hold nothing below LEAST
    bound = CLASSES * (least + LEAST) / (1 - CLASSES * least) + 1e-5
    assert bool(((q - p).abs() <= bound).all())
    clipped = p.amax(-1) > most
    assert bool(clipped.any())
    before = convert(sent(values, kind, defense), kind, "probabilities").double()
    assert float((before - p)[clipped].abs().amax()) > 0.05  # the upload as it is is far off
    unclipped = ~clipped & (p.amax(-1) < most - 1e-4)
    torch.testing.assert_close(q[unclipped], before[unclipped], rtol=1e-6, atol=1e-9)


def test_a_clipped_row_by_hand() -> None:
    """c = 0.4 and u = 1/4: λ = (0.4 − 0.25)/(0.7 − 0.25) = 1/3."""
    p = torch.tensor([[0.7, 0.2, 0.1, 0.0]])
    defense = made("clip-confidence", "probabilities", most=0.4)
    left = sent(p, "probabilities", defense)
    torch.testing.assert_close(left, torch.tensor([[0.4, 7 / 30, 0.2, 1 / 6]]))
    found, _ = undone(left, "probabilities", [defense])
    torch.testing.assert_close(found, p.double(), rtol=0, atol=2e-5)


def test_of_two_classes_a_clipped_row_is_the_label() -> None:
    defense = made("clip-confidence", "probabilities", most=0.6)
    found, _ = undone(torch.tensor([[0.6, 0.4], [0.45, 0.55]]), "probabilities", [defense])
    torch.testing.assert_close(found[0], torch.tensor([1 - LEAST, LEAST]).double(), rtol=1e-3, atol=0)
    torch.testing.assert_close(found[1], torch.tensor([0.45, 0.55]).double())


@pytest.mark.parametrize("kind", KINDS)
def test_defenses_are_undone_from_the_last_to_the_first(kind: Kind) -> None:
    several = [made("temperature", kind, tau=2.0), made("clip-confidence", kind, most=0.4)]
    values = outputs(kind, spread=12.0)
    found, _ = undone(sent(values, kind, *several), kind, several)
    p, q = (convert(one.double(), kind, "probabilities") for one in (values, found))
    wrong = convert(sent(values, kind, *several), kind, "probabilities").double()
    assert float((q - p).abs().max()) < 0.05 * float((wrong - p).abs().max())


@pytest.mark.parametrize(("name", "values", "deviation"), [
    ("gaussian", {"sigma": 60.0}, 60.0), ("laplace", {"scale": 30.0}, 30 * 2**0.5), ("gaussian", {"sigma": 2.0}, 2.0),
])  # fmt: skip
def test_noise_is_read_at_a_scale_at_which_a_softmax_bears_it(
    name: str, values: dict[str, float], deviation: float
) -> None:
    defense = made(name, "logits", clip=1e6, **values)
    assert isinstance(defense, Noise)
    assert defense.deviation == pytest.approx(deviation)
    noise = sent(torch.zeros(4000, CLASSES), "logits", defense)
    assert float(noise.std()) == pytest.approx(deviation, rel=0.02)
    assert defense.scale == pytest.approx(min(1.0, READABLE / deviation))
    found, heard = undone(noise, "logits", [defense])
    assert torch.equal(found, noise.double())  # the scale is the whole view's, not the upload's
    assert bool(heard.all())
    assert made(name, "probabilities", **values).scale == 1.0


def test_what_a_mean_bears() -> None:
    """The mean of logits over τ is the mean of the logits, over τ; with probabilities that is not so."""
    warm, few, mixed = (made(name, "logits") for name in ("temperature", "sparse", "clip-confidence"))
    assert undone_by_means("logits", [warm, few]) == [warm, few]
    assert undone_by_means("logits", [warm, mixed, few]) == [few]
    warm, few = (made(name, "probabilities") for name in ("temperature", "sparse"))
    assert undone_by_means("probabilities", [warm, few]) == [few]

    tau = made("temperature", "logits")
    uploads = [outputs("logits", seed) for seed in range(4)]
    mean = torch.stack([sent(one, "logits", tau) for one in uploads]).mean(0)
    found, _ = undone(mean, "logits", undone_by_means("logits", [tau]))
    torch.testing.assert_close(found, torch.stack(uploads).double().mean(0), rtol=1e-5, atol=1e-5)
