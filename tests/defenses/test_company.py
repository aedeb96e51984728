"""Models beside a client's own: a mixture with one that knows nothing private, and votes of several."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import logitleak
from beside import Beside
from logitleak import config as configs
from logitleak.data.split import prepare
from logitleak.defenses.accounting import gaussian_epsilon
from logitleak.defenses.draws import Seeded
from logitleak.defenses.inside import Company
from logitleak.defenses.pate import Pate
from logitleak.defenses.spaces import onto_simplex
from logitleak.defenses.toward_public import TowardPublic
from logitleak.files.storage import read_tensors
from logitleak.schemes.base import ClientContext
from logitleak.stages.banks import bank_of, scheme_of
from logitleak.types import ClientData, Payload

Tiny = Callable[..., dict[str, Any]]


def uploads(run: Path) -> list[dict[str, Tensor]]:
    return [read_tensors(run / f"wire/round-{t:02d}/upload.safetensors") for t in (1, 2)]


def test_shares_by_hand() -> None:
    labels = torch.tensor([7, 7, 3, 4, 3])
    assert [share.tolist() for share in Company(2, "image").shares(labels)] == [[0, 2, 4], [1, 3]]
    assert [share.tolist() for share in Company(2, "person").shares(labels)] == [[3], [0, 1, 2, 4]]
    assert [share.tolist() for share in Company().shares(labels)] == [[]]


@pytest.mark.parametrize("unit", ["image", "person"])
def test_what_is_changed_reaches_one_teacher(unit: Any) -> None:
    """Another image in its place; or no image of a class."""
    labels, company = torch.tensor([5, 0, 5, 2, 8, 3]), Company(3, unit)
    changed = labels.clone()
    changed[0] = 5 if unit == "person" else 1
    kept = torch.tensor([1, 3, 4, 5]) if unit == "person" else torch.arange(6)

    def holds(these: Tensor, places: Tensor) -> list[list[tuple[int, int]]]:
        shares = company.shares(these)
        return [list(zip(places[share].tolist(), these[share].tolist(), strict=True)) for share in shares]

    before, after = holds(labels, torch.arange(6)), holds(changed[kept], kept)
    if unit == "image":
        assert sum(one != other for one, other in zip(before, after, strict=True)) == 1
    else:
        differ = [set(one) ^ set(other) for one, other in zip(before, after, strict=True)]
        assert [len(each) for each in differ] == [0, 0, 2]


@pytest.mark.parametrize(("share", "expected"), [(0.0, [4.0, 0.0]), (0.25, [3.0, 0.5]), (1.0, [0.0, 2.0])])
def test_a_mixture_by_hand(share: float, expected: list[float]) -> None:
    defense = TowardPublic(TowardPublic.Settings(share=share), "logits", Seeded(0))
    defense.inside = Beside(torch.tensor([[[0.0, 2.0]]]))
    assert defense.on_upload(torch.tensor([[4.0, 0.0]]), torch.arange(1), 1)[0].tolist() == expected


def test_votes_by_hand() -> None:
    defense = Pate(Pate.Settings(teachers=2, sigma=1e-6), "probabilities", Seeded(0))
    said = torch.tensor([[[0.9, 0.1, 0.0], [0.2, 0.7, 0.1]], [[0.3, 0.6, 0.1], [0.0, 1.0, 0.0]]])
    defense.inside = Beside(said)
    sent = defense.on_upload(torch.full((2, 3), 1 / 3), torch.arange(2), 1)
    torch.testing.assert_close(sent, torch.tensor([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]]), atol=1e-5, rtol=0)


def test_noise_is_on_counts() -> None:
    """A hundred thousand votes: mean and spread of what is put onto the nearest distribution, against doing that."""
    defense = Pate(Pate.Settings(teachers=4, sigma=2.0), "probabilities", Seeded(3))
    n = 100_000
    defense.inside = Beside(torch.eye(2)[torch.tensor([0, 0, 0, 1])][:, None].expand(4, n, 2))
    sent = defense.on_upload(torch.zeros(n, 2), torch.arange(n), 1).double()
    noise = torch.randn(n, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    expected = onto_simplex((torch.tensor([3.0, 1.0]) + 2 * noise) / 4)
    assert float(sent.mean(0)[0]) == pytest.approx(float(expected.mean(0)[0]), abs=0.005)
    assert float(sent.std(0)[0]) == pytest.approx(float(expected.std(0)[0]), abs=0.005)


def test_what_votes_promise() -> None:
    """Two counts of each of ten rows, in each of three rounds, by one: 60 in all, squared."""
    defense = Pate(Pate.Settings(sigma=4.0), "logits", Seeded(0))
    assert defense.epsilon(10, 3) == gaussian_epsilon(60**0.5 / 4, 1e-5)


def test_nothing_but_public_leaves(tiny_config: Tiny, tmp_path: Path) -> None:
    """With a share of 1 what a lone client sends is the same to the bit, whoever is in."""
    given = tiny_config(labelled=True) | {"attacks": {}, "game": {"design": "twins"}}
    given["federation"] = {**given["federation"], "clients": 1}
    given["defenses"] = [{"name": "toward-public", "settings": {"share": 1}}]
    run = logitleak.run(given, tmp_path / "run").path
    one, two = ([tensors["client-0/logits"] for tensors in uploads(run / f"worlds/{w}")] for w in (0, 1))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_teachers_in_a_federation(tiny_config: Tiny, tmp_path: Path) -> None:
    """Round 1 of FedMD by hand: each teacher learns the public set and its own share, then votes."""
    given = tiny_config(labelled=True) | {"attacks": {}}
    given["defenses"] = [{"name": "pate", "clients": [1], "settings": {"teachers": 2, "sigma": 1e-6}}]
    sent = uploads(logitleak.run(given, tmp_path / "run").path)[0]["client-1/logits"]
    config = configs.parse(given)
    split = prepare(config.data, 2, config.seed).split
    mine, votes = split.truth.client(1), torch.zeros(len(split.public), split.num_classes)
    for teacher in range(2):
        places = [place for place in range(len(mine)) if place % 2 == teacher]
        bank = bank_of(
            config.federation, "cnn", [f"1/teacher-{teacher}"], split.public.image_size, split.num_classes, 0,
            torch.device("cpu"),
        )  # fmt: skip
        data = ClientData(mine.images[places], mine.labels[places])
        scheme_of(config.federation).actions["transfer"](
            bank, [data], Payload(), ClientContext(split.public, 0, [1])
        )
        votes[torch.arange(len(votes)), bank.predict(split.public.images)[0].argmax(1)] += 1
    torch.testing.assert_close(sent.softmax(1), votes / 2, atol=1e-4, rtol=0)
