"""Models of the user's own, named module:function."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import logitleak
from logitleak.errors import UserError
from logitleak.federation.bank import ModelBank, Optimization
from logitleak.models import own

CODE = """
import torch
from torch import nn

def small(image_size, num_classes):
    height, width = image_size
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
        nn.LazyLinear(num_classes) if False else nn.Linear(4 * ((height - 1) // 2) * ((width - 1) // 2), num_classes),
    )

def gray(image_size, num_classes):
    class Gray(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(image_size[0] * image_size[1], num_classes)
            self.seen = []

        def forward(self, pixels):
            assert pixels.min() >= 0 and pixels.max() <= 1
            return self.head(pixels.mean(1).flatten(1))
    return Gray()

def frozen(image_size, num_classes):
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(3 * image_size[0] * image_size[1], 8), nn.Dropout(0.5), nn.Linear(8, num_classes)
    )
    model[1].requires_grad_(False)
    return model

def wrong_classes(image_size, num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * image_size[0] * image_size[1], num_classes + 1))

def fails(image_size, num_classes):
    raise RuntimeError("no weights\\nhere")

def fails_later(image_size, num_classes):
    return nn.Linear(5, num_classes)

def no_module(image_size, num_classes):
    return "model"

def empty(image_size, num_classes):
    return nn.Flatten()

number = 3
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "my_models.py").write_text(CODE.replace("nn.LazyLinear(num_classes) if False else ", ""))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "my_models", raising=False)
    return "my_models"


def test_the_start_depends_on_the_seed_alone(module: str) -> None:
    state = torch.random.get_rng_state()
    first, again, other = (own.build(f"{module}:small", (16, 16), 4, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    for a, b, c in zip(first.parameters(), again.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        assert a.unique().numel() == 1 or not torch.equal(a, c)


def test_bytes_become_pixels_in_the_unit_range(module: str) -> None:
    model = own.build(f"{module}:gray", (16, 16), 4, 0)
    images = torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8)
    torch.testing.assert_close(model(images), model(images / 255))
    torch.testing.assert_close(model.logits(images / 127.5 - 1), model(images / 255), rtol=1e-4, atol=1e-5)


def test_a_bank_trains_it_even_with_a_last_batch_of_one(module: str) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (9, 3, 16, 16), dtype=torch.uint8, generator=generator)
    labels = torch.arange(9) % 4
    bank = ModelBank(f"{module}:small", (16, 16), 4, [0, 1], Optimization(1e-2, 0.0, 4), seed=3)
    before = bank.predict(images)
    assert not torch.equal(before[0], before[1])
    losses = [bank.fit([images] * 2, [labels] * 2, F.cross_entropy, 5, (i,))[0] for i in range(4)]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("stacked", [False, True])
def test_frozen_layers_stay_and_dropout_is_seeded(module: str, stacked: bool) -> None:
    images, labels = torch.randint(0, 256, (8, 3, 16, 16), dtype=torch.uint8), torch.arange(8) % 4
    state, found = torch.random.get_rng_state(), []
    for _ in range(2):
        optimization = Optimization(1e-2, 0.0, 4)
        bank = ModelBank(f"{module}:frozen", (16, 16), 4, [0, 1], optimization, seed=3, stacked=stacked)
        before = bank.weights(0)
        bank.fit([images] * 2, [labels] * 2, F.cross_entropy, 2, ("a",))
        after = bank.weights(0)
        assert torch.equal(before["module.1.weight"], after["module.1.weight"])
        assert not torch.equal(before["module.3.weight"], after["module.3.weight"])
        found.append(bank.predict(images))
        torch.rand(3)  # what others draw in between has no part in it
    assert torch.equal(*found)
    torch.random.set_rng_state(state)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module:make", 'The model "no_such_module:make" cannot be imported: No module named'),
        ("my_models:absent", 'needs a function "absent" in the module "my_models"'),
        ("my_models:number", 'needs a function "number"'),
        ("my_models:fails", "cannot be made: no weights here."),
        ("my_models:no_module", "must return a torch.nn.Module, not str"),
        ("my_models:empty", "has no parameters to train"),
        ("my_models:fails_later", r"fails on float images \[2, 3, 16, 16\]"),
        ("my_models:wrong_classes", r"must return logits \[n, 4\]; for two images it gave \[2, 5\]"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(module: str, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        own.build(name, (16, 16), 4, 0)
    assert "\n" not in str(caught.value)


def test_a_whole_run(module: str, tmp_path: Path, tiny_config: Callable[..., dict[str, Any]]) -> None:
    config = tiny_config()
    config["federation"] = {
        **config["federation"],
        "models": [f"{module}:small", "cnn"],
        "server_model": f"{module}:gray",
    }
    result = logitleak.run(config, tmp_path / "run")
    kept = json.loads((result.path / "metrics.json").read_text())["config"]["federation"]
    assert kept["models"] == [f"{module}:small", "cnn"]
    config["federation"]["models"] = [f"{module}:wrong_classes"]
    with pytest.raises(UserError, match="must return logits"):
        logitleak.run(config, tmp_path / "other")
    assert not (tmp_path / "other").exists()
