"""The multi-task GAN: what its discriminator begins as, and a difference that is planted, or is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from memory import MemoryView
from torch import Tensor, nn

from logitleak.attacks.base import create
from logitleak.attacks.mgan_ai import MGANAI
from logitleak.attacks.multi_task import MultiTaskGAN, MultiTaskSettings, Seen
from logitleak.attacks.views import FirstRounds, WithoutClient
from logitleak.errors import UserError
from logitleak.models import base
from logitleak.models.heads import features_of, last_layer
from logitleak.seeds import derive

SMALL: dict[str, Any] = {"steps": 2, "samples": 2, "gan_steps": 2, "gan_batch": 4, "gan_filters": 4}
CPU, SIDE = torch.device("cpu"), 12


@pytest.mark.parametrize("name", ["cnn", "mlp", "lenet", "resnet8"])
def test_the_category_head_is_the_shared_model(name: str) -> None:
    model = base.build(name, (16, 16), 7, derive(0)).eval()
    images = torch.rand(3, 3, 16, 16)
    logits, features = features_of(model, images, 7)
    assert torch.equal(logits, model(images))
    last = last_layer(model, 7)
    torch.testing.assert_close(F.linear(features, last.weight, last.bias), logits)


def test_a_model_without_a_last_layer() -> None:
    with pytest.raises(UserError, match="linear layer"):
        last_layer(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), 7)


def taught(first: float, second: float) -> float:
    """How much brighter client 1's image of a label is than client 0's, after representatives of these levels."""
    settings = MultiTaskSettings(steps=50, batch=12, lr=3e-3, latent=4, filters=8)
    model = base.build("mlp", (SIDE, SIDE), 2, derive(1))
    gan = MultiTaskGAN(settings, (SIDE, SIDE), 2, 2, last_layer(model, 2).in_features, 0, CPU)
    images = torch.rand(8, 3, 1, 1, generator=derive(2)).expand(-1, -1, SIDE, SIDE)
    representatives = torch.tensor([first, second])[:, None, None, None].expand(-1, 3, SIDE, SIDE)
    labels = torch.arange(8) % 2
    gan.learn(
        model,
        Seen(images, labels, representatives, torch.tensor([0, 1]), torch.arange(2)),
        1,
        lambda *_: None,
    )
    z = torch.randn(16, 4, generator=derive(3))
    with torch.no_grad():
        zero, one = (gan.make(z, torch.arange(16) % 2, torch.full((16,), k)).mean() for k in (0, 1))
    return float(one - zero)


@pytest.mark.parametrize(("first", "second"), [(0.2, 0.8), (0.8, 0.2)])
def test_what_tells_clients_apart_is_found(first: float, second: float) -> None:
    assert taught(first, second) * (second - first) > 0.05


def test_where_nothing_does_nothing_is() -> None:
    assert abs(taught(0.5, 0.5)) < 0.05


class NothingLearnt(MemoryView):
    """Every client sends back what it was sent."""

    def client_gradients(self, client: int, round: int) -> Mapping[str, Tensor]:
        return {name: torch.zeros_like(value) for name, value in self.global_model(round).weights.items()}


def test_clients_that_learnt_nothing_have_no_representatives_and_own_nothing() -> None:
    view = NothingLearnt()
    attack = create("mgan-ai", SMALL)
    assert isinstance(attack, MGANAI)
    for round, result in attack.replay(view):
        assert torch.equal(result.scores, torch.zeros_like(result.scores))
        assert len(attack._seen(view, round).senders) == 0


def test_representatives_are_of_the_labels_that_updates_give_away() -> None:
    view = MemoryView(rounds=1)
    attack = create("mgan-ai", SMALL)
    assert isinstance(attack, MGANAI)
    list(attack.replay(view))
    seen = attack._seen(view, 1)
    assert seen.senders.tolist() == [0, 1, 2]  # each has one image
    public = view.knowledge.public.labelled()
    assert not bool(torch.isin(seen.labels, view.knowledge.target_labels).any())
    assert len(seen.images) == int(public.sensitive.sum())
    assert set(view.knowledge.target_labels.tolist()) <= set(seen.wanted.tolist())


def test_whose_update_is_left_out_teaches_nothing() -> None:
    """One GAN learns from all clients, so a control sees the others' updates under their new numbers."""

    class Asked(MemoryView):
        def client_gradients(self, client: int, round: int) -> Mapping[str, Tensor]:
            asked.add(client)
            return super().client_gradients(client, round)

    asked: set[int] = set()
    view = Asked(rounds=1)
    alone = WithoutClient(view, 0)
    for name, value in alone.client_gradients(0, 1).items():
        assert torch.equal(value, view.client_gradients(1, 1)[name])
    asked.clear()
    attack = create("mgan-ai", SMALL)
    ((_, result),) = attack.replay(FirstRounds(alone, 1))
    assert attack.compares_clients
    assert asked == {1, 2}
    assert len(result.images) == 2


def test_nothing_that_was_sent_is_changed() -> None:
    view = MemoryView(rounds=1)
    sent = view.global_model(1)
    before = {name: value.clone() for name, value in sent.weights.items()}
    view.global_model = lambda round: sent  # type: ignore[method-assign]
    list(create("mgan-ai", SMALL).replay(view))
    assert all(torch.equal(value, before[name]) for name, value in sent.weights.items())


def test_a_rate_that_is_too_large() -> None:
    settings = SMALL | {"gan_lr": 1e30, "gan_steps": 10}
    with pytest.raises(UserError, match="lower gan_lr"):
        list(create("mgan-ai", settings).replay(MemoryView()))
