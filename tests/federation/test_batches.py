"""Models that normalize batches: no image is left out, and what cannot train says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import logitleak
from logitleak import registry
from logitleak.config import parse
from logitleak.errors import UserError
from logitleak.federation.bank import ModelBank, Optimization
from logitleak.federation.batches import cut, normalizes_batches
from logitleak.models.base import Classifier, build
from logitleak.seeds import derive
from logitleak.stages.check import check


class Normed(Classifier):
    """A plug-in with batch normalization, with running statistics or without."""

    running = True

    def __init__(self, image_size: tuple[int, int], num_classes: int) -> None:
        super().__init__()
        height, width = image_size
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(3 * height * width, 8),
            nn.BatchNorm1d(8, track_running_stats=self.running), nn.ReLU(), nn.Linear(8, num_classes),
        )  # fmt: skip

    def logits(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


class Stateless(Normed):
    """Without buffers, so that nothing but a try tells whether it can be stacked."""

    running = False


class FrozenNorm(Normed):
    """As people fine-tune: the statistics stay those of the training before."""

    def train(self, mode: bool = True) -> FrozenNorm:
        super().train(mode)
        self.layers[2].eval()
        return self


@pytest.fixture
def plug_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[Classifier]], None]:
    """Have every registered model be this one."""
    load = registry.load

    def use(model: type[Classifier]) -> None:
        monkeypatch.setattr(
            registry, "load", lambda kind, name: model if kind == "model" else load(kind, name)
        )

    return use


def data(count: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(count)
    images = torch.randint(0, 256, (count, 3, 16, 16), dtype=torch.uint8, generator=generator)
    return images, torch.arange(count) % 4


def make(batch: int, stacked: bool = False, members: int = 2) -> ModelBank:
    optimization = Optimization(1e-2, 0.0, batch)
    return ModelBank(
        "cnn", (16, 16), 4, list(range(members)), optimization, 3, dtype=torch.float64, stacked=stacked
    )


def test_only_a_lone_last_image_joins_the_batch_before() -> None:
    order = torch.arange(9)
    assert [part.tolist() for part in cut(order, 4, True)] == [[0, 1, 2, 3], [4, 5, 6, 7, 8]]
    assert [len(part) for part in cut(order, 4, False)] == [4, 4, 1]
    assert [len(part) for part in cut(order, 5, True)] == [5, 4]
    assert [len(part) for part in cut(order[:1], 4, True)] == [1]
    assert [part.shape[1] for part in cut(order.expand(2, 9), 4, True)] == [4, 5]


@pytest.mark.parametrize("model", [Normed, Stateless])
@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("loss", [F.cross_entropy, F.l1_loss])
def test_every_image_counts_in_every_epoch(
    plug_in: Callable[[type[Classifier]], None],
    model: type[Classifier],
    stacked: bool,
    loss: Callable[..., Tensor],
) -> None:
    """Against a plain loop: 9 images in batches of 4 are batches of 4 and 5, and the mean is over all 9."""
    plug_in(model)
    images, labels = data(9)
    targets = labels if loss is F.cross_entropy else torch.rand(9, 4, dtype=torch.float64)
    bank, told = make(4, stacked), {}
    bank.fit(
        [images] * 2, [targets] * 2, loss, 2, ("t",), lambda k, epoch, mean: told.update({(k, epoch): mean})
    )
    for k in range(2):
        alone = build("cnn", (16, 16), 4, derive(3, "init", "cnn", k), torch.float64).train()
        adam = torch.optim.Adam(alone.parameters(), lr=1e-2)
        generator = derive(3, "order", "t", k)
        for epoch in (1, 2):
            order, total = torch.randperm(9, generator=generator), 0.0
            for rows in (order[:4], order[4:]):
                adam.zero_grad()
                value = loss(alone(images[rows]), targets[rows])
                value.backward()
                adam.step()
                total += float(value.detach()) * len(rows)
            assert told[k, epoch] == pytest.approx(total / 9, rel=1e-9)
        torch.testing.assert_close(bank.models[k].state_dict(), alone.state_dict(), rtol=1e-7, atol=1e-9)


def test_single_images_are_refused_before_training(
    plug_in: Callable[[type[Classifier]], None], tiny_config: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    plug_in(Normed)
    with pytest.raises(UserError, match="no statistics of a batch of one image; set federation.batch to 2"):
        make(1)
    config = {**tiny_config(), "attacks": {}}
    config["federation"] = {**config["federation"], "batch": 1}
    with pytest.raises(UserError, match="federation.batch"):
        check(parse(config))
    with pytest.raises(UserError, match="federation.batch"):
        logitleak.run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    bank, (few, label), (many, labels) = make(4), data(1), data(8)
    before = bank.weights(0)
    with pytest.raises(UserError, match="Client 1 has a single image to learn from"):
        bank.fit([many, few], [labels, label], F.cross_entropy, 1, ("t",))
    torch.testing.assert_close(bank.weights(0), before, rtol=0, atol=0)


def test_a_model_whose_statistics_are_frozen_takes_single_images(
    plug_in: Callable[[type[Classifier]], None],
) -> None:
    plug_in(FrozenNorm)
    bank, (images, labels) = make(1), data(3)
    assert not normalizes_batches(bank.models[0])
    first, last = (bank.fit([images] * 2, [labels] * 2, F.cross_entropy, 3, (i,))[0] for i in range(2))
    assert 0 < last < first
