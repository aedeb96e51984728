"""Training defenses that promise nothing, each against a plain loop that does what it says."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from led import CLASSES, SIDE, bank, learn, made, private, weights
from scipy import stats
from torch import Tensor, nn

from logitleak import config as configs
from logitleak import registry
from logitleak.defenses.bido import gaussian_kernel, hsic
from logitleak.defenses.draws import Seeded, System
from logitleak.defenses.training import TrainingDefense, last_linear
from logitleak.errors import UserError
from logitleak.federation.bank import ModelBank
from logitleak.federation.trainer import Trainer
from logitleak.schemes.base import ClientContext
from logitleak.seeds import derive
from logitleak.stages.check import check
from logitleak.types import ClientData, PublicData
from needs import require

Tiny = Callable[..., dict[str, Any]]
NAMES = [
    name for name in registry.names("defense") if issubclass(registry.load("defense", name), TrainingDefense)
]


class Idle(TrainingDefense):
    """Does nothing."""

    def sees(self) -> str:
        return "Everything."


def idle() -> Idle:
    return Idle(Idle.Settings(), "logits", Seeded(0))


def close(found: ModelBank, expected: ModelBank) -> None:
    torch.testing.assert_close(weights(found), weights(expected), atol=1e-4, rtol=1e-3)


def batches(model: ModelBank, data: ClientData, epochs: int) -> list[Tensor]:
    """The rows of every batch of round 1, as the bank cuts them."""
    order = derive(model.seed, "order", "learn", 1, 0)
    return [rows for _ in range(epochs) for rows in torch.randperm(len(data), generator=order).split(4)]


def drawn() -> Callable[..., Tensor]:
    """The uniform numbers that a defense of `made` gets in round 1, one after the other."""
    count = 0

    def uniform(*shape: int) -> Tensor:
        nonlocal count
        count += 1
        return Seeded(5, "test").uniform(shape, "learn", 1, count)

    return uniform


def steps(model: ModelBank, losses: Callable[[Tensor], Tensor], rows: list[Tensor]) -> None:
    net = model.models[0]
    adam = torch.optim.Adam(net.parameters(), lr=model.optimization.lr)
    for batch in rows:
        adam.zero_grad()
        losses(batch).backward()
        adam.step()


@pytest.mark.parametrize("count", [0, 1, 9])
def test_nothing_done_is_plain_training_to_the_bit(count: int) -> None:
    data, found, plain = private(count), bank(), bank()
    told = learn(found, data, idle(), idle())
    heard: list[float] = []
    plain.fit(
        [data.images], [data.labels], F.cross_entropy, 2, ("learn", 1), lambda k, e, loss: heard.append(loss)
    )
    assert torch.equal(weights(found), weights(plain))
    assert told == heard


@pytest.mark.parametrize("name", NAMES)
def test_clients_without_images_and_with_one(name: str) -> None:
    for count in (0, 1):
        if name == "dp-sgd" and count:
            require("opacus")
        model = bank()
        learn(model, private(count), made(name))
        assert bool(weights(model).isfinite().all())
        assert model.models[0]._forward_pre_hooks == {}


def test_label_smoothing() -> None:
    data, found, plain = private(10), bank(), bank()
    learn(found, data, made("label-smoothing", share=0.3))

    def smoothed(logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, label_smoothing=0.3)

    plain.fit([data.images], [data.labels], smoothed, 2, ("learn", 1))
    close(found, plain)


def test_mixup() -> None:
    data, found, expected = private(10), bank(), bank()
    learn(found, data, made("mixup", alpha=0.7))
    net, uniform = expected.models[0].train(), drawn()

    def loss(rows: Tensor) -> Tensor:
        share = float(stats.beta.ppf(float(uniform(1)), 0.7, 0.7))
        other = uniform(len(rows)).argsort().tolist()
        total = torch.zeros(())
        for i in range(len(rows)):
            a, b = int(rows[i]), int(rows[other[i]])
            mixed = share * data.images[a].float() / 255 + (1 - share) * data.images[b].float() / 255
            logs = net(mixed[None]).log_softmax(-1)[0]
            total = total - share * logs[data.labels[a]] - (1 - share) * logs[data.labels[b]]
        return total / len(rows)

    steps(expected, loss, batches(expected, data, 2))
    close(found, expected)


def test_dropout() -> None:
    data, found, expected = private(10), bank(), bank()
    learn(found, data, made("dropout", rate=0.25))
    hidden, head, uniform = *_split(expected.models[0]), drawn()

    def loss(rows: Tensor) -> Tensor:
        features = hidden(data.images[rows].float() / 127.5 - 1)
        kept = (uniform(*features.shape) >= 0.25).float()
        return F.cross_entropy(head(features * kept / 0.75), data.labels[rows])

    steps(expected, loss, batches(expected, data, 2))
    close(found, expected)


def _split(net: nn.Module) -> tuple[nn.Module, nn.Module]:
    layers = list(net.layers)  # type: ignore[arg-type]
    return nn.Sequential(*layers[:-1]), layers[-1]


def test_predictions_are_made_with_all_features() -> None:
    defense, model, images = made("dropout"), bank(), private(5).images
    before = model.predict(images)
    with defense.attached(model.models[0]):
        assert torch.equal(model.predict(images), before)
        model.models[0].train()
        assert not torch.equal(model.models[0](images), before[0])


class TestHSIC:
    def test_by_double_loops(self) -> None:
        """Σ_ij K_ij L_ij with both kernels centered by hand, one pair at a time."""
        rng = np.random.default_rng(0)
        a, b = rng.normal(size=(7, 5)), rng.normal(size=(7, 2))

        def kernel(rows: Any) -> Any:
            out = np.zeros((7, 7))
            for i in range(7):
                for j in range(7):
                    distance = sum((rows[i][d] - rows[j][d]) ** 2 for d in range(rows.shape[1]))
                    out[i][j] = math.exp(-distance / (2 * (1.5 * math.sqrt(rows.shape[1])) ** 2))
            return out

        k, l_ = kernel(a), kernel(b)
        h = np.eye(7) - 1 / 7
        expected = np.trace(k @ h @ l_ @ h) / 36
        found = hsic(*(gaussian_kernel(torch.from_numpy(each), 1.5) for each in (a, b)))
        assert float(found) == pytest.approx(expected, rel=1e-9)

    def test_of_what_is_known(self) -> None:
        same = torch.eye(2, dtype=torch.float64)
        assert float(hsic(same, same)) == pytest.approx(1.0)  # tr(H H) / 1 with H of rank one
        assert float(hsic(same, torch.ones(2, 2, dtype=torch.float64))) == 0  # a constant depends on nothing


def test_bido() -> None:
    data, found, expected = private(10), bank(), bank()
    learn(found, data, made("bido", images=0.7, labels=0.4, width=0.5))
    hidden, head = _split(expected.models[0])

    def loss(rows: Tensor) -> Tensor:
        features = hidden(data.images[rows].float() / 127.5 - 1)
        plain = F.cross_entropy(head(features), data.labels[rows])
        kernels = [
            gaussian_kernel(each, 0.5)
            for each in (
                data.images[rows].float().flatten(1) / 255,
                features,
                F.one_hot(data.labels[rows], CLASSES).float(),
            )
        ]
        return plain + 0.7 * hsic(kernels[0], kernels[1]) - 0.4 * hsic(kernels[1], kernels[2])

    steps(expected, loss, batches(expected, data, 2))
    close(found, expected)


class TestNFDP:
    def test_the_rest_is_never_touched(self) -> None:
        """In no round do other images change anything; those that were drawn are as many as the share says."""
        data, model = private(10), bank()
        defense = made("nfdp", share=0.3)
        rows = defense.choose(data.images, data.labels)
        assert len(rows) == 3
        other = ClientData(255 - data.images, (data.labels + 1) % CLASSES)
        other.images[rows], other.labels[rows] = data.images[rows], data.labels[rows]
        again, changed = bank(), bank()
        for round in (1, 2):
            learn(model, data, defense, round=round)
            learn(again, other, made("nfdp", share=0.3), round=round)
            learn(changed, private(10, seed=7), made("nfdp", share=0.3), round=round)
        assert torch.equal(weights(model), weights(again))
        assert not torch.equal(weights(model), weights(changed))

    def test_few_are_rounded_down(self) -> None:
        counts = [len(made("nfdp", share=0.5).choose(d.images, d.labels)) for d in map(private, range(5))]
        assert counts == [0, 0, 1, 1, 2]

    def test_the_formula_is_never_above_what_is_said(self) -> None:
        said = made("nfdp", share=0.4).guarantee(10, 2)
        assert "ε = 0.511 and δ = 0.4" in said
        assert "promises nothing" in said
        for n in range(1, 200):
            k = math.floor(0.4 * n + 1e-9)
            assert math.log((n + 1) / (n + 1 - k)) <= 0.511
            assert k / n <= 0.4

    def test_what_was_drawn_is_kept(self) -> None:
        data, first = private(40), made("nfdp", System())
        rows = first.choose(data.images, data.labels)
        later = made("nfdp", System())
        later.load_state(first.state())
        assert torch.equal(later.choose(data.images, data.labels), rows)
        with pytest.raises(UserError, match="had 40 private images and now has 39"):
            later.choose(data.images[1:], data.labels[1:])


class TestEarlyStop:
    def test_it_stops_below_the_loss(self) -> None:
        data, model = private(9), bank(lr=1e-3)
        assert 2 < len(learn(model, data, made("early-stop", loss=0.1), epochs=80)) < 80
        assert 0.02 < float(F.cross_entropy(model.predict(data.images)[0], data.labels)) <= 0.1

    def test_a_phase_of_one_epoch_may_be_left_out(self) -> None:
        data, model = private(9), bank()
        assert len(learn(model, data, made("early-stop", loss=0.8), epochs=60)) < 60
        before = weights(model)
        assert learn(model, data, made("early-stop", loss=0.8), epochs=1, round=2) == []
        assert torch.equal(weights(model), before)

    def test_what_is_held_out_stops_it_and_is_not_learnt(self) -> None:
        """Noise cannot be generalized from, so the loss on what is held out soon rises."""
        data, model = private(30), bank()
        defense = made("early-stop", loss=0.0, held=0.3, patience=2)
        assert len(learn(model, data, defense, epochs=80)) < 80
        kept = defense.choose(data.images, data.labels)
        assert len(kept) == 21
        rows = torch.ones(30, dtype=torch.bool)
        rows[kept] = False
        before, plain = bank(), bank()
        learn(before, data, made("early-stop", loss=0.0, held=0.3, patience=50), epochs=2)
        plain.fit([data.images[~rows]], [data.labels[~rows]], F.cross_entropy, 2, ("learn", 1))
        assert torch.equal(weights(before), weights(plain))

    def test_patience_needs_images(self) -> None:
        with pytest.raises(UserError, match="patience is about images that are held out; set held too"):
            made("early-stop", patience=3)
        with pytest.raises(UserError, match="nothing would ever stop; set loss or held above 0"):
            made("early-stop", loss=0)


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("name", ["label-smoothing", "mixup", "dropout", "nfdp"])
def test_a_bank_of_some_that_are_led(name: str, stacked: bool) -> None:
    """Who is led learns as it would alone, and all others to the bit what they would learn without anybody led."""
    data = [private(9, seed=k) for k in range(3)]
    heard: list[tuple[str, int | None, int]] = []

    def listen(round: int, phase: str, client: int | None, epoch: int, loss: float) -> None:
        heard.append((phase, client, epoch))

    def make(members: list[int]) -> ModelBank:
        return ModelBank("mlp", (SIDE, SIDE), CLASSES, members, bank().optimization, 3, stacked=stacked)

    mixed, alone, plain = make([4, 5, 6]), make([5]), make([4, 6])
    trainers = {5: Trainer([made(name)])}
    context = ClientContext(PublicData(data[0].images, None, torch.ones(9)), 2, [4, 5, 6], listen, trainers)
    context.learn_private(mixed, data, "learn", 2)
    trainers = {5: Trainer([made(name)])}
    ClientContext(context.public, 2, [5], trainers=trainers).learn_private(alone, data[1:2], "learn", 2)
    ClientContext(context.public, 2, [4, 6]).learn_private(plain, data[::2], "learn", 2)
    assert sorted(heard) == [("learn", client, epoch) for client in (4, 5, 6) for epoch in (1, 2)]
    state = mixed.state()
    assert state.keys() == (alone.state() | plain.state()).keys()
    for key, value in (alone.state() | plain.state()).items():
        assert torch.equal(state[key], value), key


def test_they_add_up() -> None:
    """Several at once: smoothed mixtures with dropout, as each would do it."""
    data, model = private(10), bank()
    told = learn(
        model, data, *(made(name) for name in ("nfdp", "label-smoothing", "mixup", "dropout", "bido"))
    )
    assert len(told) == 2
    assert all(math.isfinite(loss) for loss in told)


@pytest.mark.parametrize(
    ("defenses", "said"),
    [
        (["mixup", "nfdp"], "Behind mixup the defense nfdp does not choose alone .*; put nfdp first"),
        (["pate", "early-stop"], "only what its teachers say leaves, and early-stop changes"),
        (["mixup", "pate"], "only what its teachers say leaves, and mixup changes"),
        (["nfdp", "hide-column"], "hide-column looks at private data, and voids what nfdp promises"),
        (
            ["gaussian", "mixup", "hide-column"],
            "behind gaussian it voids what that promises; put hide-column first",
        ),
    ],
)
def test_company(defenses: list[str], said: str, tiny_config: Tiny) -> None:
    given = tiny_config() | {"attacks": {}}
    with pytest.raises(UserError, match=said):
        check(configs.parse(given | {"defenses": defenses}))
    check(configs.parse(given | {"defenses": ["nfdp", "mixup", "round"]}))


def convolution(image_size: tuple[int, int], num_classes: int) -> nn.Module:
    """A model of one's own without a linear layer."""
    return nn.Sequential(nn.Conv2d(3, num_classes, image_size), nn.Flatten())


@pytest.mark.parametrize("name", ["dropout", "bido"])
def test_models_without_features(name: str, tiny_config: Tiny) -> None:
    given = tiny_config() | {"defenses": [name], "attacks": {}}
    given["federation"] |= {"models": [f"{__name__}:convolution"]}
    with pytest.raises(UserError, match="has no linear layer; use another model"):
        check(configs.parse(given))
    assert last_linear(convolution((SIDE, SIDE), 2)) is None


def test_schemes_that_send_models_are_refused(tiny_config: Tiny) -> None:
    given = tiny_config() | {"defenses": ["mixup"], "attacks": {}}
    given["federation"] |= {"scheme": "fedavg", "settings": {}}
    with pytest.raises(UserError, match="clients of this scheme send weights"):
        check(configs.parse(given))
