"""What every registered defense must do, whatever it does."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from logitleak import registry
from logitleak.defenses.base import Defense
from logitleak.defenses.draws import Seeded, System
from logitleak.defenses.shield import Shield
from logitleak.defenses.spaces import Kind, convert
from logitleak.federation.answers import Form, Shape
from logitleak.types import Payload

KINDS: tuple[Kind, ...] = ("logits", "probabilities")
ROWS, CLASSES = 12, 7


def outputs(kind: Kind, rows: int = ROWS, classes: int = CLASSES) -> Tensor:
    """Ordinary rows, one that is sure beyond all numbers, one that knows nothing."""
    logits = 3 * torch.randn(rows, classes, generator=torch.Generator().manual_seed(1))
    if rows > 1:
        logits[0], logits[0, -1], logits[1] = 0, 1e4, 0
    return logits if kind == "logits" else logits.softmax(-1)


class Stub:
    """The inside of a client that holds class 0; the models beside its own say other things."""

    held = torch.tensor([0])

    def __init__(self, kind: Kind, models: int) -> None:
        self.kind, self.models = kind, models
        self.shape = torch.Size()

    def follow(self, action: str, round: int, message: Payload) -> None:
        return None

    def outputs(self) -> Tensor:
        said = torch.randn(self.models, *self.shape, generator=torch.Generator().manual_seed(2))
        return said if self.kind == "logits" else said.softmax(-1)


def made(name: str, kind: Kind, seed: int | None = 0, client: int = 0) -> Defense:
    cls = registry.load("defense", name)
    draws = System() if seed is None else Seeded(seed, "test", client)
    defense: Defense = cls(registry.settings(name, cls.Settings, {}), kind, draws)
    if defense.company is not None:
        defense.inside = Stub(kind, defense.company.models)
    return defense


def leaves(defense: Defense, kind: Kind, values: Tensor, round: int = 1) -> Tensor:
    """What goes out of a client with this defense alone."""
    if isinstance(defense.inside, Stub):
        defense.inside.shape = values.shape
    shield = Shield(("upload", kind), kind, [defense])
    message = Payload({"rows": torch.arange(len(values))})
    return shield.guard("upload", round, message, Payload({kind: values})).tensors[kind]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", registry.names("defense"))
class TestEveryDefense:
    @pytest.mark.parametrize(("rows", "classes"), [(ROWS, CLASSES), (0, CLASSES), (1, 2), (3, 1), (40, 300)])
    def test_what_leaves_is_a_valid_message(self, name: str, kind: Kind, rows: int, classes: int) -> None:
        values = outputs(kind, rows, classes)
        before = values.clone()
        sent = leaves(made(name, kind), kind, values)
        form = Form({kind: Shape(torch.float32, (rows, classes), kind == "probabilities")})
        assert form.fault(Payload({kind: sent})) is None
        assert torch.equal(values, before)

    def test_in_its_own_space_too(self, name: str, kind: Kind) -> None:
        defense = made(name, kind)
        values = convert(outputs(kind), kind, defense.space)
        if isinstance(defense.inside, Stub):
            defense.inside.shape = values.shape
        found = defense.on_upload(values, torch.arange(ROWS), 1)
        assert (found.shape, found.dtype) == (values.shape, values.dtype)
        if defense.space == "probabilities":
            torch.testing.assert_close(found.sum(-1), torch.ones(ROWS))
            assert bool((found >= 0).all())

    def test_seeds_decide_in_simulations(self, name: str, kind: Kind) -> None:
        first, again = (leaves(made(name, kind), kind, outputs(kind)) for _ in range(2))
        assert torch.equal(first, again)

    def test_chance_is_another_for_other_names(self, name: str, kind: Kind) -> None:
        """Whoever draws, draws anew in every round, for every client, and in deployments every time."""
        first = leaves(made(name, kind), kind, outputs(kind))
        real = [leaves(made(name, kind, None), kind, outputs(kind)) for _ in range(2)]
        later = leaves(made(name, kind), kind, outputs(kind), round=2)
        elsewhere = leaves(made(name, kind, client=1), kind, outputs(kind))
        other_seed = leaves(made(name, kind, seed=1), kind, outputs(kind))
        others = [later, elsewhere, other_seed, *real]
        changed = [not torch.equal(first, other) for other in others]
        assert all(changed) or not any(changed)
        assert torch.equal(*real) is not any(changed)

    def test_what_leaves_fits(self, name: str, kind: Kind) -> None:
        """A mark, where a defense leaves one, is on all that it lets out, and not on what it was given."""
        defense = made(name, kind)
        sent = convert(leaves(defense, kind, outputs(kind)), kind, defense.space)
        raw = convert(outputs(kind)[2:], kind, defense.space)
        assert (defense.fits(sent), defense.fits(raw)) in ((True, False), (None, None))
        assert defense.fits(sent[:0]) in (True, None)

    def test_other_messages_are_left_alone(self, name: str, kind: Kind) -> None:
        shield = Shield(("upload", kind), kind, [made(name, kind)])
        answer = Payload({"other": torch.ones(2)}, {"images": 3})
        assert shield.guard("train", 1, Payload(), answer) is answer

    def test_words(self, name: str, kind: Kind) -> None:
        defense = made(name, kind)
        for said in (defense.sees(), defense.guarantee(rows=100, rounds=5)):
            assert said.strip() == said
            assert "\n" not in said
        assert defense.sees().endswith(".")
        guarantee = defense.guarantee(rows=100, rounds=5)
        if not guarantee.startswith("none"):
            assert all(word in guarantee for word in ("Unit", "adjacency", "ε = ", "δ = "))
        assert not guarantee.endswith(".")

    def test_strengths_are_settings(self, name: str, kind: Kind) -> None:
        cls = registry.load("defense", name)
        tried = [cls(registry.settings(name, cls.Settings, one), kind, System()) for one in cls.strengths]
        assert len({str(one.settings) for one in tried}) == len(tried) > 0

    def test_settings_are_described(self, name: str, kind: Kind) -> None:
        model = registry.load("defense", name).Settings
        assert set(model.model_fields) <= set(model.described())


def test_conversions() -> None:
    p = torch.tensor([[0.7, 0.3, 0.0], [1 / 3, 1 / 3, 1 / 3]])
    logits = convert(p, "probabilities", "logits")
    expected = torch.tensor([0.7, 0.3, 1e-6]).log()
    torch.testing.assert_close(logits[0], expected - expected.mean())
    torch.testing.assert_close(logits[1], torch.zeros(3))
    torch.testing.assert_close(convert(logits, "logits", "probabilities"), p, atol=2e-6, rtol=0)
    assert convert(p, "probabilities", "probabilities") is p


def test_uniform_numbers() -> None:
    """Open intervals, float64, and the distribution that they should have."""
    from scipy import stats

    for draws in (Seeded(3, "a"), System()):
        found = draws.uniform((40_000,), 1)
        assert found.dtype == torch.float64
        assert 0 < float(found.min()) < float(found.max()) < 1
        assert stats.kstest(found.numpy(), "uniform").pvalue > 1e-4
    assert System().uniform((0, 3), 1).shape == (0, 3)
    assert not torch.equal(Seeded(3, "a").uniform((5,), 1), Seeded(3, "b").uniform((5,), 1))
