"""What federating buys: clients alone and one model on all images, against plain loops of the same training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import logitleak
from logitleak import config as configs
from logitleak.data.split import prepare
from logitleak.files.storage import read_tensors
from logitleak.models.base import build
from logitleak.report import build as report
from logitleak.seeds import derive
from logitleak.stages.banks import scheme_of
from logitleak.stages.baselines import of_one_client

Tiny = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def values(
    tiny_config: Tiny, people: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    home = people(tmp_path_factory.mktemp("baselines") / "people", identities=8, images=8)
    made = tiny_config(home, targets=4)
    made["data"] |= {"held_out": 0.3, "partition": "iid"}
    made["federation"] |= {"clients": 2, "rounds": 2}
    return made | {"attacks": {}, "baselines": True}


@pytest.fixture(scope="module")
def run(values: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    return logitleak.run(values, tmp_path_factory.mktemp("run") / "run")


def plainly(
    config: Any, name: str | int, sets: list[tuple[torch.Tensor, torch.Tensor, int, str]], classes: int
) -> Any:
    """One model, trained by a plain loop on several sets of images in turn."""
    f = config.federation
    size = (config.data.image_size, config.data.image_size)
    model = build(f.model_of(0), size, classes, derive(config.seed, "init", f.model_of(0), name))
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(model.parameters(), lr=f.lr, weight_decay=f.weight_decay)
    for images, labels, epochs, phase in sets:
        generator = derive(config.seed, "order", "baseline", phase, name)
        for _ in range(epochs):
            for rows in torch.randperm(len(images), generator=generator).split(f.batch):
                optimizer.zero_grad()
                F.cross_entropy(model(images[rows]), labels[rows]).backward()
                optimizer.step()
    return model.eval()


def test_against_plain_loops(values: dict[str, Any], run: Any) -> None:
    config = configs.parse(values)
    split = prepare(config.data, 2, config.seed).split
    truth, public = split.truth, split.public
    assert public.labels is not None
    epochs = of_one_client(scheme_of(config.federation), 2)
    found = read_tensors(run.path / "sealed" / "baselines.safetensors")
    seen = (public.images, public.labels, epochs.labels, "public")
    for name, rows, got in (
        (0, truth.owners == 0, found["alone"][0]),
        (1, truth.owners == 1, found["alone"][1]),
        ("central", torch.ones(len(truth.labels), dtype=torch.bool), found["central"]),
    ):
        model = plainly(
            config,
            name,
            [seen, (truth.images[rows], truth.labels[rows], epochs.private, "private")],
            split.num_classes,
        )
        with torch.no_grad():
            assert torch.equal(model(truth.held_images).argmax(1), got)


def test_numbers_are_counted_by_hand(run: Any) -> None:
    from logitleak.sealed.files import read_truth

    truth = read_truth(run.path / "sealed")
    said = run.metrics["utility"]["baselines"]
    kept = read_tensors(run.path / "sealed" / "baselines.safetensors") | read_tensors(
        run.path / "sealed" / "predicted.safetensors"
    )
    right = {name: (value == truth.held_labels).double() for name, value in kept.items()}
    assert said["central"]["value"] == pytest.approx(float(right["central"].mean()), abs=1e-5)
    for k in range(2):
        assert said["alone"]["all"][k]["value"] == pytest.approx(float(right["alone"][k].mean()), abs=1e-5)
        own = torch.isin(truth.held_labels, truth.labels[truth.owners == k])
        assert said["federated"]["own"][k]["value"] == pytest.approx(
            float(right["clients"][k][own].mean()), abs=1e-5
        )
    gain = (right["clients"].mean(0) - right["alone"].mean(0)).mean()
    assert said["gain"]["difference"] == pytest.approx(float(gain), abs=1e-5)
    assert said["gain"]["low"] <= said["gain"]["difference"] <= said["gain"]["high"]
    by_class = said["by_class"]
    assert sum(by_class["images"]) == len(truth.held_labels)
    assert sum(by_class["central"][0]) == said["central"]["successes"]
    last = run.metrics["utility"]["rounds"][-1]["clients"]
    assert last == pytest.approx([share["value"] for share in said["federated"]["all"]], abs=1e-5)


def test_the_report_says_what_federating_buys(run: Any) -> None:
    page = report(run.path).read_text()
    assert "What federating buys" in page
    assert "one model on all images" in page
    assert "Who holds what" in page


def test_a_finished_run_gains_them_later_and_nothing_else_changes(
    values: dict[str, Any], run: Any, tmp_path: Path
) -> None:
    plain = logitleak.run(values | {"baselines": False}, tmp_path / "run")
    assert plain.metrics["utility"]["baselines"] is None
    later = logitleak.run(values, tmp_path / "run")
    assert later.metrics["utility"]["baselines"] == run.metrics["utility"]["baselines"]
    assert later.metrics["utility"]["rounds"] == run.metrics["utility"]["rounds"]


@pytest.mark.parametrize("scheme", ["fedmd", "dsfl", "fedgems", "fedavg"])
def test_one_client_trains_as_long_as_in_the_federation(scheme: str) -> None:
    config = configs.parse({"federation": {"scheme": scheme, "clients": 3, "rounds": 4}})
    made = scheme_of(config.federation)
    one, all_, server = of_one_client(made, 4), made.planned_epochs(3, 4), made.planned_epochs(2, 4)
    assert one.private * 3 == all_.private
    assert one.labels == all_.labels - server.labels
    assert one.private > 0
