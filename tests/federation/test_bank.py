"""A bank of K models against a plain loop of K separate models."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from logitleak.federation.bank import Loss, ModelBank, Optimization
from logitleak.models.base import build
from logitleak.seeds import derive

OPTIMIZATION = Optimization(lr=1e-3, weight_decay=1e-2, batch=5)


def data(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, 16, 16), dtype=torch.uint8, generator=generator)
    return images, torch.randint(0, 4, (count,), generator=generator)


def bank(members: list[int], model: str = "cnn", dtype: torch.dtype = torch.float64) -> ModelBank:
    return ModelBank(model, (16, 16), 4, members, OPTIMIZATION, seed=3, dtype=dtype)


@pytest.mark.parametrize("model", ["cnn", "mlp", "resnet", "resnet8", "lenet"])
def test_bank_equals_separate_models(model: str) -> None:
    sets = [data(13, 0), data(7, 1), data(20, 2)]
    stacked = bank([0, 1, 2], model)
    stacked.fit([x for x, _ in sets], [y for _, y in sets], F.cross_entropy, 3, ("test", 1))
    found = stacked.predict(sets[0][0])
    for k, (images, labels) in enumerate(sets):
        alone = build(model, (16, 16), 4, derive(3, "init", model, k), torch.float64)
        adam = torch.optim.Adam(alone.parameters(), lr=1e-3, weight_decay=1e-2, foreach=False, fused=False)
        generator = derive(3, "order", "test", 1, k)
        for _ in range(3):
            order = torch.randperm(len(images), generator=generator)
            for start in range(0, len(images), 5):
                rows = order[start : start + 5]
                adam.zero_grad()
                F.cross_entropy(alone(images[rows].double() / 255), labels[rows]).backward()
                adam.step()
        with torch.no_grad():
            torch.testing.assert_close(found[k], alone(sets[0][0]), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("model", ["cnn", "mlp", "resnet", "resnet8", "lenet"])
@pytest.mark.parametrize("loss", [F.cross_entropy, F.l1_loss])
def test_together_equals_one_after_the_other(model: str, loss: Loss) -> None:
    """Stacked steps against the plain loop, before and after an epoch that cannot be stacked."""
    images, labels = data(13, 0)
    few, few_labels = data(4, 1)
    targets = labels if loss is F.cross_entropy else torch.rand(13, 4, dtype=torch.float64)
    banks = [
        ModelBank(model, (16, 16), 4, [0, 1], OPTIMIZATION, 3, dtype=torch.float64, stacked=stacked)
        for stacked in (False, True)
    ]
    told: list[dict[tuple[int, int, int], float]] = [{}, {}]
    for each, heard in zip(banks, told, strict=True):
        for phase in range(3):
            own = [images, few if phase == 1 else images]
            wanted = [labels, few_labels] if phase == 1 else [targets] * 2

            def tell(k: int, epoch: int, value: float, phase: int = phase) -> None:
                heard[phase, k, epoch] = value  # noqa: B023

            kind = F.cross_entropy if phase == 1 else loss
            each.fit(own, wanted, kind, 2, ("phase", phase), tell)
    assert told[0].keys() == told[1].keys()
    assert [told[1][key] for key in told[0]] == pytest.approx(list(told[0].values()), rel=1e-9)
    torch.testing.assert_close(banks[1].predict(images), banks[0].predict(images), rtol=1e-9, atol=1e-9)
    for name, value in banks[0].state().items():
        torch.testing.assert_close(banks[1].state()[name], value, rtol=1e-9, atol=1e-11)


def test_bfloat16_training_stays_close() -> None:
    images, labels = data(40, 2)
    found = []
    for precision in ("float32", "bf16"):
        optimization = Optimization(1e-3, 1e-4, 8, precision=precision)  # type: ignore[arg-type]
        each = ModelBank("cnn", (16, 16), 4, [0], optimization, seed=3)
        each.fit([images], [labels], F.cross_entropy, 3, ("rough",))
        found.append(each.predict(images)[0])
        assert {value.dtype for value in each.weights(0).values()} == {torch.float32}
    assert not torch.equal(found[0], found[1])
    assert (found[0] - found[1]).norm() < 0.05 * found[0].norm()


def test_members_do_not_depend_on_each_other() -> None:
    images, labels = data(11, 4)
    pair, single = bank([0, 1]), bank([1])
    pair.fit([images] * 2, [labels] * 2, F.cross_entropy, 2, ("t",))
    single.fit([images], [labels], F.cross_entropy, 2, ("t",))
    assert torch.equal(pair.predict(images)[1], single.predict(images)[0])


def test_state_goes_on_bit_for_bit() -> None:
    images, labels = data(12, 5)

    def train(which: ModelBank, purpose: str) -> None:
        which.fit([images] * 2, [labels] * 2, F.cross_entropy, 2, (purpose,))

    straight = bank([0, 1], dtype=torch.float32)
    train(straight, "a")
    kept = {name: value.clone() for name, value in straight.state().items()}
    train(straight, "b")
    resumed = bank([0, 1], dtype=torch.float32)
    resumed.load_state(kept)
    train(resumed, "b")
    assert torch.equal(straight.predict(images), resumed.predict(images))


def test_state_keeps_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plug-in with batch normalization goes on with the statistics it had."""
    from logitleak import registry
    from logitleak.models.base import Classifier

    class Normed(Classifier):
        def __init__(self, image_size: tuple[int, int], num_classes: int) -> None:
            super().__init__()
            layers = torch.nn.BatchNorm2d(3), torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, num_classes)
            self.layers = torch.nn.Sequential(*layers)

        def logits(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.layers(x)
            return out

    monkeypatch.setattr(registry, "load", lambda kind, name: Normed)
    images, labels = data(12, 5)
    first = bank([0])
    first.fit([images], [labels], F.cross_entropy, 2, ("a",))
    second = bank([0])
    second.load_state({name: value.clone() for name, value in first.state().items()})
    assert torch.equal(first.predict(images), second.predict(images))


def test_nothing_to_train() -> None:
    one = bank([0])
    before = one.predict(data(2, 0)[0])
    empty, labels = data(0, 0)
    assert one.fit([empty], [labels], F.cross_entropy, 2, ("t",)) != one.fit(
        [empty], [labels], F.cross_entropy, 0, ("t",)
    )  # nan is unlike itself
    assert torch.equal(before, one.predict(data(2, 0)[0]))


def test_the_global_random_state_is_left_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    images, labels = data(6, 0)
    for model in ("cnn", "mlp", "resnet"):
        bank([0], model).fit([images], [labels], F.cross_entropy, 1, ("t",))
    assert torch.equal(torch.rand(1), expected)


def test_listener_hears_every_epoch() -> None:
    heard: list[tuple[int, int]] = []
    images, labels = data(6, 0)
    tell: Callable[[int, int, float], None] = lambda k, epoch, loss: heard.append((k, epoch))  # noqa: E731
    bank([0, 1]).fit([images] * 2, [labels] * 2, F.cross_entropy, 2, ("t",), tell)
    assert heard == [(0, 1), (0, 2), (1, 1), (1, 2)]


@pytest.mark.gpu
def test_gpu_equals_cpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA GPU")
    images, labels = data(12, 5)
    on_cpu = bank([0, 1])
    on_gpu = ModelBank("cnn", (16, 16), 4, [0, 1], OPTIMIZATION, 3, "cuda", torch.float64)
    for each in (on_cpu, on_gpu):
        each.fit([images] * 2, [labels] * 2, F.cross_entropy, 2, ("t",))
    torch.testing.assert_close(on_cpu.predict(images), on_gpu.predict(images), rtol=1e-8, atol=1e-8)


def test_every_change_is_counted() -> None:
    """Whoever keeps what a bank said must know when it would say something else."""
    images, labels = data(5, 6)
    one, other = bank([0]), bank([0])
    seen = [one.changes]
    for change in (
        lambda: one.fit([images], [labels], F.cross_entropy, 1, ("a",)),
        lambda: one.set_weights(0, other.weights(0)),
        lambda: one.load_state(other.state()),
    ):
        change()
        seen.append(one.changes)
    assert len(set(seen)) == 4
    one.predict(images)
    assert one.changes == seen[-1]
