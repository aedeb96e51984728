"""Private steps against plain loops, what they are said to promise against closed forms, and what leaks of them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from led import CLASSES, SIDE, bank, learn, made, private, weights
from scipy import stats
from torch import Tensor, nn

import logitleak
from logitleak import config as configs
from logitleak.defenses import dp_budget
from logitleak.defenses.accounting import gaussian_epsilon, upward
from logitleak.defenses.dp_steps import clipped_sum, shares_images, units_of
from logitleak.defenses.draws import Seeded
from logitleak.defenses.training import Schedule
from logitleak.errors import UserError
from logitleak.federation.bank import ModelBank
from logitleak.metrics.epsilon import ceiling, guess, of_one_run
from logitleak.sealed.files import read_game, read_truth
from logitleak.stages.check import check
from logitleak.stages.verify import verify
from logitleak.types import ClientData
from needs import needs

needs_opacus = needs("opacus")
DELTA = 1e-5
Tiny = Callable[..., dict[str, Any]]


def by_hand(model: ModelBank, data: ClientData, unit: str, clip: float, noise: float, epochs: int) -> None:
    """Abadi's algorithm, one image at a time, with the numbers that the defense draws and an Adam of its own."""
    net, batch, n = model.models[0], model.optimization.batch, len(data)
    adam = torch.optim.Adam(net.parameters(), lr=model.optimization.lr)
    groups = [[i] for i in range(n)]
    if unit == "person":
        groups = [
            [i for i in range(n) if data.labels[i] == label] for label in sorted(set(data.labels.tolist()))
        ]
    q, count = min(1, batch / n), 0

    def uniform(*shape: int) -> Tensor:
        nonlocal count
        count += 1
        return Seeded(5, "test").uniform(shape, "learn", 1, count)

    for _ in range(epochs * math.ceil(n / batch)):
        drawn = uniform(len(groups))
        uniform(len(groups))  # seeds of layers that draw
        total = {name: torch.zeros_like(p) for name, p in net.named_parameters()}
        for place, group in enumerate(groups):
            if drawn[place] >= q:
                continue
            mine = {name: torch.zeros_like(p) for name, p in net.named_parameters()}
            for i in group:
                net.zero_grad()
                F.cross_entropy(net(data.images[i : i + 1]), data.labels[i : i + 1]).backward()
                for name, p in net.named_parameters():
                    mine[name] += p.grad
            norm = math.sqrt(sum(float((g.double() ** 2).sum()) for g in mine.values()))
            for name in total:
                total[name] += mine[name] * min(1.0, clip / norm)
        adam.zero_grad()
        for name, p in net.named_parameters():
            added = (
                0.0
                if noise == 0
                else noise * clip * torch.from_numpy(stats.norm.ppf(uniform(p.numel()))).view(p.shape)
            )
            p.grad = ((total[name] + added) / (q * n)).float()
        adam.step()


@needs_opacus
class TestSteps:
    @pytest.mark.parametrize("unit", ["image", "person"])
    @pytest.mark.parametrize(("clip", "noise"), [(0.5, 0.0), (0.5, 0.7), (1e6, 0.0)])
    def test_like_a_plain_loop(self, unit: str, clip: float, noise: float) -> None:
        data, found, expected = private(10), bank(), bank()
        learn(found, data, made("dp-sgd", unit=unit, clip=clip, noise=noise))
        by_hand(expected, data, unit, clip, noise, epochs=2)
        torch.testing.assert_close(weights(found), weights(expected), atol=2e-5, rtol=1e-4)

    def test_nothing_bounded_and_everybody_drawn_is_plain_training(self) -> None:
        """With a batch as large as the data all are in every step, as in an epoch of one shuffled batch."""
        data, found, plain = private(6), bank(batch=8), bank(batch=8)
        learn(found, data, made("dp-sgd", batch=8, clip=1e6, noise=0.0), epochs=3)
        plain.fit([data.images], [data.labels], F.cross_entropy, 3, ("learn", 1))
        torch.testing.assert_close(weights(found), weights(plain), atol=1e-5, rtol=1e-4)

    def test_a_step_without_anybody_is_noise_alone(self) -> None:
        class Nobody:
            """Everybody's number is above any chance below 1, and noise is that of one quantile."""

            def uniform(self, shape: Any, *names: str | int) -> Tensor:
                return torch.full(tuple(shape), 0.9, dtype=torch.float64)

        data, found = private(9), bank()
        before = weights(found)
        defense = made("dp-sgd", Nobody(), noise=2.0, clip=0.5, epochs=1)
        (loss,) = learn(found, data, defense, epochs=1)
        assert math.isfinite(loss)
        assert int(defense.state()["steps"]) == 3
        moved = weights(found) - before  # Adam's steps against one and the same gradient
        torch.testing.assert_close(moved, torch.full_like(moved, -3 * 1e-2), atol=1e-5, rtol=1e-3)

    @pytest.mark.parametrize("count", [1, 2, 3])
    @pytest.mark.parametrize("unit", ["image", "person"])
    def test_few_images(self, count: int, unit: str) -> None:
        """The batch is larger than the data: everybody is in every step, one step an epoch."""
        defense = made("dp-sgd", noise=4.0, unit=unit, batch=64)
        assert len(learn(bank(batch=64), private(count), defense)) == 2
        assert int(defense.state()["steps"]) == 2
        assert defense.spent(count) == pytest.approx(gaussian_epsilon(10 / 4, DELTA), rel=2e-3)

    def test_no_image_learns_nothing(self) -> None:
        model = bank()
        before = weights(model)
        assert learn(model, private(0), made("dp-sgd")) == []
        assert torch.equal(weights(model), before)

    def test_what_a_model_keeps_beside_its_weights_is_refused(self) -> None:
        class Counting(nn.Flatten):
            def __init__(self) -> None:
                super().__init__()
                self.register_buffer("seen", torch.zeros(()))

            def forward(self, x: Tensor) -> Tensor:
                self.seen += x.mean()
                return super().forward(x)

        model = bank()
        model.models[0].layers[0] = Counting()  # type: ignore[index, operator]
        with pytest.raises(UserError, match=r"changes its buffer layers\.0\.seen while it learns"):
            learn(model, private(4), made("dp-sgd", noise=1.0))

    def test_more_than_was_planned_is_refused(self) -> None:
        defense = made("dp-sgd", noise=1.0, epochs=3)
        data = private(8)
        learn(bank(), data, defense, epochs=2)
        kept = made("dp-sgd", noise=1.0, epochs=3)
        kept.load_state(defense.state())
        with pytest.raises(UserError, match="more than 3 epochs, for which its ε was computed"):
            learn(bank(), data, kept, epochs=2)

    def test_layers_that_draw_do_not_tell_who_else_is_drawn(self, tmp_path: Any) -> None:
        """An image's gradient is the same whether others are before it or not."""
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(3 * SIDE * SIDE, CLASSES))
        data = private(4)
        from logitleak.defenses.dp_sgd import _losses
        from logitleak.defenses.training import Lesson

        lesson = Lesson(
            net, torch.optim.SGD(net.parameters()), data.images, data.labels, 4, lambda x: net(x / 255)
        )
        one, two = (torch.tensor([0]), 11), (torch.tensor([1]), 12)
        with torch.random.fork_rng():
            alone = [loss.item() for loss in _losses(lesson, [two])]
            behind = [loss.item() for loss in _losses(lesson, [one, two])]
        assert alone == behind[1:]


def test_gradients_that_are_not_finite_add_nothing() -> None:
    p = torch.ones(2, requires_grad=True)
    bad, good = (p * torch.tensor([math.inf, 1.0])).sum(), (p * torch.tensor([3.0, 4.0])).sum()
    (total,) = clipped_sum([p], [bad, good], clip=1.0)
    torch.testing.assert_close(total, torch.tensor([0.6, 0.8]))
    (nothing,) = clipped_sum([p], [], clip=1.0)
    assert torch.equal(nothing, torch.zeros(2))


def test_units() -> None:
    labels = torch.tensor([4, 1, 4, 2])
    assert [rows.tolist() for rows in units_of(labels, "image")] == [[0], [1], [2], [3]]
    assert [rows.tolist() for rows in units_of(labels, "person")] == [[1], [3], [0, 2]]
    assert units_of(labels[:0], "person") == []


@needs_opacus
class TestBudget:
    @pytest.mark.parametrize(("noise", "steps"), [(1.0, 10), (4.0, 10), (3.0, 60)])
    def test_prv_of_everybody_is_the_analytic_gaussian(self, noise: float, steps: int) -> None:
        exact = gaussian_epsilon(math.sqrt(steps) / noise, DELTA)
        assert exact <= dp_budget.spent(noise, 1.0, steps, DELTA, "prv") <= exact + 0.02

    @pytest.mark.parametrize(("noise", "steps"), [(1.0, 10), (4.0, 10), (3.0, 60)])
    def test_rdp_of_everybody_by_hand(self, noise: float, steps: int) -> None:
        """T Gaussians have the Rényi divergence Tα/2σ² at order α; to (ε, δ) by Canonne, Kamath and Steinke (2020)."""
        orders = [1 + x / 10 for x in range(1, 100)] + list(range(12, 64))
        by_order = [
            steps * a / (2 * noise**2) + math.log1p(-1 / a) - (math.log(DELTA) + math.log(a)) / (a - 1)
            for a in orders
        ]
        assert dp_budget.spent(noise, 1.0, steps, DELTA, "rdp") == pytest.approx(min(by_order), rel=1e-9)

    def test_few_steps_of_few_spend_less(self) -> None:
        for accountant in ("prv", "rdp"):
            some, more, all_ = (
                dp_budget.spent(1.0, q, t, DELTA, accountant) for q, t in ((0.1, 20), (0.1, 80), (1, 80))
            )
            assert some < more < all_
        assert dp_budget.spent(1.0, 0.1, 80, DELTA, "prv") < dp_budget.spent(1.0, 0.1, 80, DELTA, "rdp")
        assert dp_budget.spent(0.05, 1.0, 10, DELTA, "prv") == dp_budget.spent(0.05, 1.0, 10, DELTA, "rdp")

    @pytest.mark.parametrize("count", [3, 4, 5, 40])
    def test_noise_is_as_much_as_the_whole_run_asks_for(self, count: int) -> None:
        defense = made("dp-sgd", epsilon=2.0, epochs=7)
        assert 1.95 <= defense.spent(count) <= 2.0
        again = made("dp-sgd", noise=defense.noise(count), epochs=7)
        assert again.spent(count) == defense.spent(count)
        rate, steps = min(1, 4 / count), 7 * math.ceil(count / 4)
        assert again.spent(count) == dp_budget.spent(defense.noise(count), rate, steps, DELTA, "prv")

    def test_people_cost_as_much_as_images_and_are_worth_more(self) -> None:
        """The same noise has the same ε for either unit. By images alone a person of five would have their group's."""
        image, person = (
            made("dp-sgd", noise=4.0, unit=unit, epochs=5).spent(4) for unit in ("image", "person")
        )
        assert image == person
        five = gaussian_epsilon(5 * math.sqrt(5) / 4, DELTA)
        assert five > 4 * person

    def test_no_noise_is_enough(self) -> None:
        with pytest.raises(UserError, match="no noise gives ε = 0.05 .* use the accountant prv"):
            dp_budget.noise_for(0.05, 1.0, 10, DELTA, "rdp")


@needs_opacus
def test_words() -> None:
    target, fixed, bare = made("dp-sgd"), made("dp-sgd", noise=4.0, epochs=10), made("dp-sgd", noise=0.0)
    assert (
        "at ε = 8, for which each client finds its noise, and δ = 1e-05, over 3 rounds"
        in target.guarantee(9, 3)
    )
    assert "Unit an image, adjacency one image of this client more or less" in target.guarantee(9, 3)
    assert "Unit a person, adjacency all images of one person" in made("dp-sgd", unit="person").guarantee(
        9, 3
    )
    assert "which depends on the number n of a client's images" in fixed.guarantee(9, 3)
    fixed.schedule = Schedule(10, 4, (2, 4, 5))
    # a client with five images makes two steps an epoch with nearly everybody in them
    assert f"at ε = {fixed.spent(5):.3g}"[:-1] in fixed.guarantee(9, 3)
    assert fixed.spent(5) > fixed.spent(4) == fixed.spent(2)
    assert bare.guarantee(9, 3) == "none"
    assert math.isinf(bare.spent(4))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"noise": 1.0, "epsilon": 1.0}, "give epsilon or noise, not both"),
        ({"epsilon": None}, "give epsilon, or noise"),
        ({"unit": "class"}, "unit"),
        ({"delta": 0}, "delta"),
    ],
)
def test_settings_that_are_none(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        made("dp-sgd", **given)


def test_the_extra_is_asked_for_before_the_run(tiny_config: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dp_budget, "find_spec", lambda name: None)
    given = tiny_config() | {"defenses": ["dp-sgd"], "attacks": {}}
    with pytest.raises(UserError, match=r'needs Opacus; pip install "\.\[dp\]" in the checkout'):
        check(configs.parse(given))


@needs_opacus
@pytest.mark.parametrize(
    ("defenses", "said"),
    [
        (["dp-sgd", "hide-column"], "hide-column looks at private data, and voids what dp-sgd promises"),
        (["hide-column", "dp-sgd"], "hide-column looks at private data, and voids what dp-sgd promises"),
        (["dp-sgd", "dp-sgd"], "bears no other training defense"),
    ],
)
def test_company(defenses: list[str], said: str, tiny_config: Tiny) -> None:
    given = tiny_config() | {"defenses": defenses, "attacks": {}}
    with pytest.raises(UserError, match=said):
        check(configs.parse(given))
    apart = [{"name": name, "clients": [k]} for k, name in enumerate(defenses)]
    check(configs.parse(given | {"defenses": apart}))
    check(configs.parse(given | {"defenses": ["dp-sgd", "gaussian"]}))


def normalized(image_size: tuple[int, int], num_classes: int) -> nn.Module:
    """A model of one's own with batch statistics."""
    height, width = image_size
    return nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3 * height * width, num_classes))


@needs_opacus
def test_batch_statistics_are_refused(tiny_config: Tiny) -> None:
    given = tiny_config() | {"defenses": ["dp-sgd"], "attacks": {}}
    given["federation"] |= {"models": [f"{__name__}:normalized"]}
    with pytest.raises(UserError, match="batch statistics in .* mix images; normalize by GroupNorm"):
        check(configs.parse(given))
    assert shares_images(nn.InstanceNorm2d(3, track_running_stats=True))
    assert not shares_images(nn.Sequential(nn.InstanceNorm2d(3), nn.GroupNorm(1, 3)))


@needs_opacus
def test_what_leaks_is_below_what_is_promised() -> None:
    """Canaries with coins of their own in one training: what is guessed of them refutes no ε below the stated one. The
    same game without noise refutes it, so it could have been found."""
    canaries, classes = 60, 10
    everybody = private(canaries, seed=8, classes=classes)
    coins = torch.randint(2, (canaries,), generator=torch.Generator().manual_seed(9)).bool()
    used = ClientData(everybody.images[coins], everybody.labels[coins])

    def refuted(defense: Any) -> float:
        model = bank(batch=64, classes=classes, lr=3e-3)
        learn(model, used, defense, epochs=12)
        losses = F.cross_entropy(model.predict(everybody.images)[0], everybody.labels, reduction="none")
        right = guess((-losses).tolist(), coins.tolist(), canaries)
        return of_one_run(canaries, canaries, right, DELTA)

    stated = 0.5
    assert refuted(made("dp-sgd", epsilon=stated, epochs=12, batch=64)) <= stated
    planted = refuted(made("dp-sgd", noise=0.0, clip=1e6, epochs=12, batch=64))
    assert stated < planted <= ceiling(canaries, canaries, DELTA)


@needs_opacus
def test_in_a_federation(tiny_config: Tiny, tmp_path: Path) -> None:
    """The threat model says what noise is worth at the client where it is worth least, in either world, and the record
    that the server has does not say how many images anybody holds."""
    given = tiny_config(targets=4) | {"attacks": {}, "game": {"design": "twins"}}
    given["federation"]["batch"] = 2
    given["defenses"] = [{"name": "dp-sgd", "settings": {"noise": 4.0}}, "round"]
    run = logitleak.run(given, tmp_path / "run")
    (line,) = [line for line in run.metrics["threat_model"]["sees"] if "(dp-sgd)" in line]
    truth, game = read_truth(run.path / "sealed"), read_game(run.path / "sealed")
    assert game is not None
    epochs = 1 + 2 * 1  # of transfer, and of two rounds
    counts = {len(truth.client(k, game.used(truth, world))) for k in (0, 1) for world in (0, 1)}
    worst = max(
        dp_budget.spent(4.0, min(1, 2 / n), epochs * math.ceil(n / 2), DELTA, "prv") for n in counts if n
    )
    assert "All clients learn their private images in another way (dp-sgd): " in line
    assert f"at ε = {upward(worst)}, of noise 4" in line
    manifests = [json.loads((run.path / f"worlds/{w}/wire/manifest.json").read_text()) for w in (0, 1)]
    assert manifests[0] == manifests[1]
    assert manifests[0]["defenses"][0]["training"] == {"epochs": 3, "batch": 2}
    facts = verify(run.path / "worlds/0").facts
    assert "defense     dp-sgd (all clients): uploads show no trace of it" in facts
    assert "defense     round (all clients): uploads are held against it" in facts
