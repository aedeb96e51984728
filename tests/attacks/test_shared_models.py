"""Attacks on models that clients share, against what is known exactly of linear models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from memory import MemoryView
from torch import Tensor, nn

from logitleak.attacks.base import create
from logitleak.attacks.cpl import CPL
from logitleak.attacks.matching import squared_distance
from logitleak.attacks.mi_face import processed
from logitleak.attacks.shared_models import label_counts
from logitleak.models import base
from logitleak.types import GlobalModel

SIDE, CLASSES = 12, 7


class Linear(base.Classifier):
    """Softmax regression on pixels in [−1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3 * SIDE * SIDE, CLASSES)

    def logits(self, x: Tensor) -> Tensor:
        found: Tensor = self.layer(x.flatten(1))
        return found


class LinearView(MemoryView):
    """One client that made one step of a linear model on one image of label 2."""

    def __init__(self, images: int = 1) -> None:
        super().__init__(clients=1, rounds=1, side=SIDE)
        self.model = Linear()
        base.initialize(self.model, torch.Generator().manual_seed(3))
        self.image = torch.rand(images, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(4))

    def global_model(self, round: int) -> GlobalModel:
        return GlobalModel("linear", 0.5, {k: v.detach().clone() for k, v in self.model.state_dict().items()})

    def client_gradients(self, client: int, round: int) -> Mapping[str, Tensor]:
        loss = F.cross_entropy(self.model(self.image), torch.full((len(self.image),), 2))
        found = torch.autograd.grad(loss, list(self.model.parameters()))
        return {name: g for (name, _), g in zip(self.model.named_parameters(), found, strict=True)}


@pytest.fixture(autouse=True)
def linear(monkeypatch: pytest.MonkeyPatch) -> None:
    build = base.build
    monkeypatch.setattr(
        base, "build", lambda name, *rest: Linear() if name == "linear" else build(name, *rest)
    )


def exact(view: LinearView) -> Tensor:
    """Of one image and a layer with bias, input = gradient of weights / gradient of bias, in any row."""
    gradients = view.client_gradients(0, 1)
    return (gradients["layer.weight"][2] / gradients["layer.bias"][2]).view(3, SIDE, SIDE)


def test_the_ratio_is_the_image() -> None:
    view = LinearView()
    torch.testing.assert_close((exact(view) + 1) / 2, view.image[0], atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("name", "settings", "seed"),
    [
        ("idlg", {"steps": 8, "line_search": True}, 3),
        ("dlg", {"steps": 16}, 6),
        ("cpl", {"steps": 20}, 1),
        ("gs", {"steps": 400, "lr": 0.05, "tv": 0}, 0),
    ],
)
def test_one_image_of_a_linear_model_comes_back(name: str, settings: dict[str, Any], seed: int) -> None:
    """From a start that lets it: from others the search of the original ends elsewhere, hence `restarts`."""
    view = LinearView()
    ((_, result),) = create(name, settings, seed=seed).replay(view)
    wanted = (exact(view) + 1) / 2
    place = view.knowledge.target_labels.tolist().index(2)
    assert float((result.images[0, place] - wanted).abs().mean()) < 0.03
    other = result.images[0, 1 - place]
    assert bool((other == 0.5).all())  # nothing is claimed of a label that the client has no image of


def test_of_several_starts_the_best_is_kept() -> None:
    def cost(restarts: int) -> float:
        attack = create("idlg", {"steps": 4, "line_search": True, "restarts": restarts}, seed=5)
        list(attack.replay(LinearView()))
        return float(attack.trace.losses[-1]["loss"])

    costs = [cost(restarts) for restarts in (1, 2, 4)]
    assert costs == sorted(costs, reverse=True)
    assert costs[2] < costs[0]


def test_descent_reaches_the_optimum_of_two_classes() -> None:
    """With two classes the confidence of one grows with (w₁ − w₀)·x alone: every pixel is 0 or 1 by the sign."""
    model = Linear()
    base.initialize(model, torch.Generator().manual_seed(0))
    with torch.no_grad():
        model.layer.weight[2:], model.layer.bias[2:] = 0, -1e4
    attack = create("mi-face", {"lr": 50.0, "steps": 400, "patience": 400, "enough": 1.0, "start": "gray"})
    labels = torch.tensor([0, 1])
    found = attack.descend(model, labels, torch.full((2, 3, SIDE, SIDE), 0.5), 0)  # type: ignore[attr-defined]
    slope = (model.layer.weight[1] - model.layer.weight[0]).detach().view(3, SIDE, SIDE)
    steep = slope.abs() > 0.25 * slope.abs().max()  # confidence is all but 1 before flat pixels move
    assert torch.equal((found[1] > 0.5)[steep], (slope > 0)[steep])
    assert torch.equal((found[0] > 0.5)[steep], (slope < 0)[steep])
    confidence = model(found).softmax(1).gather(1, labels[:, None])
    best = (
        model(torch.stack([(slope < 0).float(), (slope > 0).float()])).softmax(1).gather(1, labels[:, None])
    )
    torch.testing.assert_close(confidence, best, atol=1e-3, rtol=0)


def test_weights_of_the_client_are_what_is_inverted() -> None:
    """The confidence that is reached is the client's, not that of what the server sent."""
    view = LinearView(images=3)
    attack = create("mi-face", {"steps": 2})
    attack.observe(view, 1)
    (model,) = attack.models.values()  # type: ignore[attr-defined]
    for name, value in model.state_dict().items():
        moved = view.model.state_dict()[name] - 0.5 * view.client_gradients(0, 1)[name]
        torch.testing.assert_close(value, moved)


def test_ready_images_are_left_alone() -> None:
    view = LinearView()
    settings = {"enough": 1e-9}  # the start is sure enough
    few, many = (next(create("mi-face", settings | {"steps": n}).replay(view))[1] for n in (5, 50))
    assert torch.equal(few.images, many.images)


@pytest.mark.parametrize("counts", [[3, 0, 1, 0], [1, 1, 1, 1], [8, 0, 0, 0], [0, 2, 2, 4]])
def test_counts_of_repeated_labels(counts: list[int]) -> None:
    """One step of a model of which p̄ is known: labels come back with how often there were."""
    generator = torch.Generator().manual_seed(sum(counts))
    logits = torch.randn(sum(counts), 4, generator=generator)
    labels = torch.repeat_interleave(torch.arange(4), torch.tensor(counts))
    p = logits.softmax(1)
    bias = (p - F.one_hot(labels, 4)).mean(0)
    assert label_counts(bias, p.mean(0), len(labels)).tolist() == counts
    near = logits.mean(0).softmax(0)  # p̄ of other images
    found = label_counts(bias, near, len(labels))
    assert int(found.sum()) == len(labels)
    assert int((found - torch.tensor(counts)).abs().sum()) <= 4


def test_patterns_repeat() -> None:
    attack = create("cpl", {"patch": 5})
    assert isinstance(attack, CPL)
    found = attack.start(torch.Size((2, 3, 12, 13)), torch.Generator().manual_seed(0))
    assert found.shape == (2, 3, 12, 13)
    assert torch.equal(found[:, :, :5, :5], found[:, :, 5:10, 5:10])
    assert torch.equal(found[:, :, :2, :3], found[:, :, 10:, 10:])


def test_the_label_term() -> None:
    attack = create("cpl", {"alpha": 2.0})
    soft = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    assert float(attack.regularizer(torch.zeros(2, 3, 4, 4), soft, torch.tensor([0, 2]))) == pytest.approx(
        0.5
    )  # type: ignore[attr-defined]


def test_squared_distance_of_lists() -> None:
    a, b = (
        [torch.tensor([1.0, 2.0]), torch.tensor([[3.0]])],
        [torch.tensor([0.0, 0.0]), torch.tensor([[1.0]])],
    )
    assert float(squared_distance(a, b)) == 9


def test_smoothing_takes_single_pixels_away() -> None:
    flat = torch.full((1, 3, 6, 6), 0.25)
    spoiled = flat.clone()
    spoiled[0, 0, 3, 3] = 1
    torch.testing.assert_close(processed(spoiled), flat)
