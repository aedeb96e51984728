"""Images asked about: as many members as others of every class and client; and students that learn what is said."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from logitleak.config import DataConfig, FederationConfig
from logitleak.federation.bank import ModelBank
from logitleak.progress import Quiet
from logitleak.sealed.game import Game, decoys
from logitleak.sealed.truth import GroundTruth
from logitleak.stages.candidates import draw_candidates, read_replies, told_apart
from logitleak.stages.students import Lesson, train_students
from logitleak.types import Knowledge, PublicData, UploadKind


def truth_of(owners: list[int], labels: list[int], held: list[int]) -> GroundTruth:
    def images(count: int, start: int) -> torch.Tensor:
        return (torch.arange(count) + start).to(torch.uint8)[:, None, None, None].expand(count, 3, 2, 2)

    return GroundTruth(
        images(len(labels), 0), torch.tensor(labels), torch.tensor(owners), images(len(held), 100),
        torch.tensor(held), torch.tensor([-1]), [str(i) for i in range(9)],
    )  # fmt: skip


def test_pairs_have_one_class_and_one_client() -> None:
    truth = truth_of([0, 0, 1, 1, 2, 2, 2], [1, 1, 1, 2, 3, 3, 4], [1, 1, 2, 3, 3, 3])
    found = draw_candidates(truth, None, 100, seed=0)
    assert found is not None
    members = found.members[0]
    inside = Counter(zip(found.clients[members].tolist(), found.labels[members].tolist(), strict=True))
    outside = Counter(zip(found.clients[~members].tolist(), found.labels[~members].tolist(), strict=True))
    assert inside == outside
    assert sum(inside.values()) == 5  # two of class 1, one of class 2, two of class 3: what was held out
    pixels = found.images[:, 0, 0, 0]
    assert len(set(pixels.tolist())) == len(found)  # every image once
    assert bool((pixels[members] < 100).all())
    assert bool((pixels[~members] >= 100).all())
    again = draw_candidates(truth, None, 100, seed=0)
    assert again is not None
    assert torch.equal(again.images, found.images)
    fewer = draw_candidates(truth, None, 4, seed=0)
    assert fewer is not None
    assert len(fewer) == 4


def test_nobody_to_ask_about() -> None:
    assert draw_candidates(truth_of([0, 0], [1, 2], []), None, 10, 0) is None
    assert draw_candidates(truth_of([0, 0], [1, 2], [3]), None, 10, 0) is None
    assert draw_candidates(truth_of([-1, 0], [1, 2], [1]), None, 10, 0) is None


def test_who_is_withheld_is_no_member_and_nobody_is_compared_with_it() -> None:
    truth = truth_of([0, 0, 1, 1], [1, 1, 2, 2], [1, 2, 2])
    game = Game("decoys", torch.tensor([1, 2]), torch.tensor([0, 1]), torch.tensor([[False, True]]))
    found = draw_candidates(truth, game, 100, 0)
    assert found is not None
    assert set(found.labels.tolist()) == {2}


def test_images_that_coins_decide_about_are_the_candidates() -> None:
    truth = truth_of([0, 0, 1, 1], [1, 1, 2, 2], [])
    game = decoys(torch.tensor([1, 2]), torch.tensor([0, 1]), 0.5, 1, "image", torch.tensor([1, 2]), True)
    found = draw_candidates(truth, game, 100, 0)
    assert found is not None
    assert found.images[:, 0, 0, 0].tolist() == [1, 2]
    assert torch.equal(found.members, game.coins)


@pytest.mark.parametrize(
    ("values", "by_image", "apart"),
    [
        ({"degradation": "mask"}, False, True),
        ({"degradation": "mask"}, True, False),
        ({"degradation": "mask", "disjoint": True}, False, False),
        ({"degradation": "blur", "protocol": "half-degraded"}, False, False),
        ({"degradation": None}, False, False),
        ({"protocol": "one-domain"}, False, False),
    ],
)
def test_public_copies_of_private_images_tell_them_apart(
    values: dict[str, object], by_image: bool, apart: bool
) -> None:
    """A server that saw no upload knows which photographs were used where masked copies of these alone are public."""
    assert (told_apart(DataConfig.model_validate(values), by_image) is not None) == apart


def test_replies_are_all_or_none(tmp_path: object) -> None:
    assert read_replies(tmp_path, 2) == {}  # type: ignore[arg-type]


class Two:
    """Two clients that disagree: one names the class that an image's brightness says, the other the next one."""

    clients, rounds, shadows = 2, 2, 0
    provides = frozenset({"logits", "labels", "server_logits"})

    def __init__(self, kind: UploadKind) -> None:
        generator = torch.Generator().manual_seed(0)
        self.classes = torch.randint(0, 3, (120,), generator=generator)
        noise = torch.randint(0, 30, (120, 3, 16, 16), generator=generator)
        self.images = (self.classes[:, None, None, None] * 100 + noise).to(torch.uint8)
        public = PublicData(self.images, self.classes, torch.ones(120, dtype=torch.bool))
        self.knowledge = Knowledge(public, torch.arange(3), 3)
        self.upload_kind: UploadKind = kind

    def client_logits(self, client: int, round: int) -> tuple[torch.Tensor, torch.Tensor]:
        said = 6 * torch.nn.functional.one_hot((self.classes + client) % 3, 3).float()
        return torch.arange(120), said.log_softmax(1) if self.upload_kind == "probabilities" else said

    def server_logits(self, round: int) -> torch.Tensor:
        return self.client_logits(0, round)[1]


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_students_learn_what_their_client_says(kind: UploadKind) -> None:
    view, f = Two(kind), FederationConfig(clients=2, rounds=2, models=["mlp"], server_model="mlp", batch=16)
    found = train_students(view, f, view.images[:30], 0, torch.device("cpu"), Quiet())  # type: ignore[arg-type]
    assert set(found.by_source) == {"last round", "all rounds"}
    assert set(found.rivals) == {"public labels", "student of the server"}
    for said in found.by_source.values():
        assert said.shape == (2, 30, 3)
        for client in (0, 1):
            right = (said[client].argmax(1) == (view.classes[:30] + client) % 3).double().mean()
            assert float(right) > 0.7  # a third by chance
    assert float((found.rivals["public labels"][0].argmax(1) == view.classes[:30]).double().mean()) > 0.9


def test_one_client_s_uploads_are_held_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """All rounds of a thousand classes are gigabytes for each client."""
    happened: list[str] = []

    class Watched(Two):
        def client_logits(self, client: int, round: int) -> tuple[torch.Tensor, torch.Tensor]:
            happened.append(f"read {client}")
            return super().client_logits(client, round)

    def teach(
        self: Lesson, bank: ModelBank, public: PublicData, why: str, images: torch.Tensor
    ) -> torch.Tensor:
        happened.append(f"teach {why}")
        return torch.zeros(len(images), 3)

    monkeypatch.setattr(Lesson, "teach", teach)
    view, f = Watched("logits"), FederationConfig(clients=2, rounds=2, models=["mlp"], server_model="mlp")
    view.provides = view.provides - {"server_logits"}
    train_students(view, f, view.images[:3], 0, torch.device("cpu"), Quiet())  # type: ignore[arg-type]
    assert happened == [
        "read 0", "teach last round", "read 1", "teach last round",
        "read 0", "read 0", "teach all rounds", "read 1", "read 1", "teach all rounds",
        "teach public labels",
    ]  # fmt: skip
