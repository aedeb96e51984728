"""What cannot be trained as a stack is trained one after the other, with the same numbers."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from logitleak import registry
from logitleak.federation.bank import ModelBank, Optimization
from logitleak.federation.stack import stackable
from logitleak.models.base import Classifier


class Head(Classifier):
    """A linear classifier after whatever a subclass does while it trains."""

    def __init__(self, image_size: tuple[int, int], num_classes: int) -> None:
        super().__init__()
        height, width = image_size
        self.hidden = nn.Linear(3 * height * width, 16)
        self.head = nn.Linear(16, num_classes)
        self.middle = self.make()

    def make(self) -> nn.Module:
        return nn.Identity()

    def disturb(self, x: Tensor) -> Tensor:
        out: Tensor = self.middle(x)
        return out

    def logits(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.disturb(self.hidden(x.flatten(1))))
        return out


class Dropout(Head):
    def make(self) -> nn.Module:
        return nn.Dropout(0.5)


class Alpha(Head):
    def make(self) -> nn.Module:
        return nn.AlphaDropout(0.3)


class Leaky(Head):
    def make(self) -> nn.Module:
        return nn.RReLU()


class Functional(Head):
    """No layer tells of it."""

    def disturb(self, x: Tensor) -> Tensor:
        return F.dropout(x, 0.5, self.training)


class Noise(Head):
    def disturb(self, x: Tensor) -> Tensor:
        return x + torch.randn_like(x) if self.training else x


class Looks(Head):
    """What it does depends on values, which a stack has not one by one."""

    def disturb(self, x: Tensor) -> Tensor:
        return x if float(x.detach().mean()) > 0 else -x


class Frozen(Head):
    def __init__(self, image_size: tuple[int, int], num_classes: int) -> None:
        super().__init__(image_size, num_classes)
        self.hidden.requires_grad_(False)


ODD = [Dropout, Alpha, Leaky, Functional, Noise, Looks, Frozen]


def banks(model: type[Classifier], monkeypatch: pytest.MonkeyPatch, device: str = "cpu") -> list[ModelBank]:
    monkeypatch.setattr(registry, "load", lambda kind, name: model)
    optimization = Optimization(1e-2, 0.0, 4)
    return [
        ModelBank("cnn", (16, 16), 4, [0, 1], optimization, 3, device, torch.float64, stacked)
        for stacked in (True, False)
    ]


def images() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (9, 3, 16, 16), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("model", ODD)
def test_what_cannot_be_stacked_equals_separate_loops(
    model: type[Classifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels, labels = images(), torch.arange(9) % 4
    state, (asked, separate) = torch.random.get_rng_state(), banks(model, monkeypatch)
    assert not stackable(asked.models, asked.optimizers, pixels[:2])
    for bank in (asked, separate):
        bank.fit([pixels] * 2, [labels] * 2, F.cross_entropy, 3, ("t",))
    for name, value in separate.state().items():
        assert torch.equal(asked.state()[name], value), name
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_two_models_draw_masks_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same start and the same order of images, only noise tells them apart."""
    bank, _ = banks(Dropout, monkeypatch)
    bank.set_weights(1, bank.weights(0))
    pixels = images()[:1]
    bank.fit([pixels] * 2, [torch.zeros(1, dtype=torch.int64)] * 2, F.cross_entropy, 1, ("t",))
    assert not torch.equal(bank.weights(0)["head.weight"], bank.weights(1)["head.weight"])


def test_a_plain_model_is_stacked(monkeypatch: pytest.MonkeyPatch) -> None:
    bank, _ = banks(Head, monkeypatch)
    assert stackable(bank.models, bank.optimizers, images()[:2])
    assert stackable(bank.models, bank.optimizers, images()[:1])


@pytest.mark.gpu
@pytest.mark.parametrize("model", [Head, *ODD])
def test_on_a_gpu_too(model: type[Classifier], monkeypatch: pytest.MonkeyPatch) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA GPU")
    pixels, labels = images(), torch.arange(9) % 4
    asked, separate = banks(model, monkeypatch, "cuda")
    for bank in (asked, separate):
        bank.fit([pixels] * 2, [labels] * 2, F.cross_entropy, 3, ("t",))
    torch.testing.assert_close(asked.predict(pixels), separate.predict(pixels), rtol=1e-8, atol=1e-8)
