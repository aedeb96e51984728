"""Gradient inversion: labels from the last bias, images from the direction of the gradient."""

import pytest
import torch
import torch.nn.functional as F
from memory import MemoryView
from torch import nn

from logitleak.attacks.base import create
from logitleak.attacks.matching import cosine_distance
from logitleak.errors import UserError


def test_cosine_distance_of_lists() -> None:
    a = [torch.randn(3, 2), torch.randn(4)]
    b = [torch.randn(3, 2), torch.randn(4)]
    flat_a, flat_b = (torch.cat([x.flatten() for x in each]) for each in (a, b))
    expected = 1 - torch.nn.functional.cosine_similarity(flat_a, flat_b, dim=0)
    torch.testing.assert_close(cosine_distance(a, b), expected)
    assert float(cosine_distance(a, [torch.zeros(3, 2), torch.zeros(4)])) == 1


def test_the_owner_is_named_and_the_image_comes_back() -> None:
    """One smooth image, one gradient: what comes back goes with it, and with nobody else's."""
    view = MemoryView(clients=2, rounds=1, side=32)
    coarse = F.avg_pool2d(view.knowledge.public.images.float(), 4)
    view.knowledge.public.images.copy_(F.interpolate(coarse, size=32, mode="bilinear"))
    attack = create("gradients", {"steps": 120, "lr": 0.05, "tv": 0})
    ((_, result),) = attack.replay(view)
    assert result.chosen.tolist() == [0, 1]  # client 0 holds label 2, client 1 holds label 5
    assert all(row["loss"] < 0.01 for row in attack.trace.losses)
    public = view.knowledge.public
    truth = torch.cat([public.pixels(torch.nonzero(public.labels == label)[0]) for label in (2, 5)])
    correlation = torch.corrcoef(torch.cat([result.best, truth]).flatten(1))[:2, 2:]
    assert float(correlation.diagonal().min()) > 0.8
    assert float(correlation[0, 1].abs().max()) < 0.15


def test_nothing_is_claimed_where_no_label_is_restored() -> None:
    view = MemoryView(clients=3, rounds=1)
    ((_, result),) = create("gradients", {"steps": 2}).replay(view)
    assert bool((result.images[2] == 0.5).all())  # client 2 holds no target


def test_weights_of_another_architecture() -> None:
    view = MemoryView()
    sent = view.global_model(1)
    view.global_model = lambda round: type(sent)("mlp", sent.lr, sent.weights)  # type: ignore[method-assign]
    with pytest.raises(UserError, match='not those of a "mlp"'):
        next(create("gradients").replay(view))


def test_a_dummy_without_gradient_makes_no_nan() -> None:
    zero, wanted = [torch.zeros(3, requires_grad=True)], [torch.ones(3)]
    cosine_distance(zero, wanted).backward()
    assert zero[0].grad is not None
    assert bool(zero[0].grad.isfinite().all())


def test_the_last_bias_of_a_deep_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The names of a file sort as text, and "10.bias" then comes before "2.bias"."""
    from logitleak.models import base
    from logitleak.types import GlobalModel

    view = MemoryView(clients=1, rounds=1)
    classes, (height, width) = view.knowledge.num_classes, view.knowledge.public.image_size
    layers = [
        nn.Flatten(),
        nn.Linear(3 * height * width, classes),
        *[nn.Linear(classes, classes) for _ in range(9)],
    ]
    deep = nn.Sequential(*layers)
    assert [name for name, _ in deep.named_parameters()][-1] == "10.bias"
    monkeypatch.setattr(base, "build", lambda *args: deep)
    table = {name: value.detach() for name, value in sorted(deep.state_dict().items())}
    gradients = {name: torch.zeros_like(value) for name, value in table.items()}
    gradients["10.bias"][2] = -1.0
    monkeypatch.setattr(view, "global_model", lambda round: GlobalModel("deep", 0.1, table))
    monkeypatch.setattr(view, "client_gradients", lambda client, round: gradients)
    attack = create("gradients", {"steps": 1})
    attack.observe(view, 1)
    assert attack._presence[0].tolist() == gradients["10.bias"].tolist()  # type: ignore[attr-defined]
