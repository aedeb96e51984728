"""A leak that a defense hides from who does not know of it, and not from who does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from memory import MemoryView
from test_gap import Planted
from torch import Tensor

from logitleak import registry
from logitleak.attacks.base import create
from logitleak.attacks.undone import UndoneView, undoes
from logitleak.attacks.views import FirstRounds, OwnModelView, SumView, ViewOf, WithoutClient
from logitleak.audits.identity import Identity, IdentitySettings
from logitleak.defenses.base import Defense
from logitleak.defenses.draws import Seeded
from logitleak.defenses.shield import Shield
from logitleak.metrics.leak import compare
from logitleak.metrics.ssim import ssim
from logitleak.types import Knowledge, Payload, PublicData, ServerView


def made(name: str, client: int = 0, **values: Any) -> Defense:
    cls = registry.load("defense", name)
    defense: Defense = cls(registry.settings(name, cls.Settings, values), "logits", Seeded(0, "test", client))
    return defense


class Sent(ViewOf):
    """The same federation whose clients have defenses."""

    def __init__(self, view: ServerView, defenses: list[list[Defense]]) -> None:
        super().__init__(view)
        self.defenses = defenses

    def client_logits(self, client: int, round: int) -> tuple[Tensor, Tensor]:
        rows, values = self.inner.client_logits(client, round)
        shield = Shield(("upload", "logits"), "logits", self.defenses[client])
        message = Payload({"rows": rows})
        return rows, shield.guard("upload", round, message, Payload({"logits": values})).tensors["logits"]


def leak(strength: float, defenses: list[list[Defense]], knows: bool, **settings: Any) -> dict[str, Any]:
    """What `gap` finds in a planted game of two clients with these defenses. Whom public images look like is known to
    everybody, the server too."""
    planted, images = Planted(strength), []
    public = 4 * torch.randn(60, 42, generator=torch.Generator().manual_seed(7))
    for world in range(2):
        memory = planted.view(world)
        memory.logits = memory.logits + public
        view: ServerView = Sent(memory, defenses)
        view = UndoneView(view, "logits", defenses) if knows else view
        images.append(create("gap", {"tau": 3, "lam": 1, **settings}).last(view).best)
    likeness = torch.stack([ssim(each, planted.private) for each in images])
    return compare(likeness > likeness.mean(), likeness, planted.game)


HIDING: dict[str, tuple[list[list[Defense]], dict[str, Any]]] = {
    # against the server, which is not softened, a softened client says nothing but what the server says, negated
    "temperature": ([[made("temperature", tau=100.0)]] * 2, {"reference": "server", "rounds": "all"}),
    # seven of ten rows are neutral, where a gap says what the server knows, negated
    "sparse": ([[made("sparse", k, share=0.3)] for k in range(2)], {"reference": "server", "rounds": "all"}),
    # one client whispers, and is compared with one that does not
    "one client of two": ([[made("temperature", tau=100.0)], []], {"reference": "others"}),
}


@pytest.mark.parametrize("how", list(HIDING))
def test_who_knows_the_defense_finds_what_it_hides_from_others(how: str) -> None:
    defenses, settings = HIDING[how]
    naive, knowing = (leak(3.0, defenses, knows, **settings) for knows in (False, True))
    assert knowing["ssim"]["low"] > 0
    assert knowing["leak"]["p"] < 0.02
    assert naive["leak"]["p"] > 0.05
    assert naive["ssim"]["difference"] < 0.7 * knowing["ssim"]["difference"]


@pytest.mark.parametrize("how", list(HIDING))
def test_where_nothing_is_planted_who_knows_finds_nothing(how: str) -> None:
    """Undoing makes no leak: worlds in which nobody's image was used are alike."""
    defenses, settings = HIDING[how]
    found = leak(0.0, defenses, True, **settings)
    assert found["leak"]["low"] <= 0 <= found["leak"]["high"]
    assert found["wins"]["p"] > 0.01


@pytest.mark.parametrize("attack", ["gap", "ridge", "pli", "tbi"])
def test_every_attack_on_outputs_takes_undone_uploads(attack: str) -> None:
    """Behind a temperature what comes back is what comes back without one; behind sparse answers, from what is left."""
    settings = {"width": 16, "batch": 4, "steps": 3} if attack in ("pli", "tbi") else {}
    warm = [[made("temperature", tau=4.0)]] * 3
    plain = create(attack, settings).last(MemoryView())
    found = create(attack, settings).last(UndoneView(Sent(MemoryView(), warm), "logits", warm))
    torch.testing.assert_close(found.images, plain.images, atol=1e-4, rtol=1e-4)
    few = [[made("sparse", k, share=0.6)] for k in range(3)]
    images = create(attack, settings).last(UndoneView(Sent(MemoryView(), few), "logits", few)).images
    assert images.shape == plain.images.shape
    assert bool(images.isfinite().all())


def test_neutral_rows_are_no_rows() -> None:
    few = [[made("sparse", k, share=0.25)] for k in range(3)]
    view = UndoneView(Sent(MemoryView(), few), "logits", few)
    seen = []
    for client in range(3):
        for round in (1, 2):
            rows, values = view.client_logits(client, round)
            assert len(rows) == round_half(0.25 * len(view.knowledge.public))
            every, said = MemoryView().client_logits(client, round)
            assert torch.equal(values, said[torch.searchsorted(every, rows)])
            seen.append(rows)
    assert len({tuple(rows.tolist()) for rows in seen}) == 6  # others in each round, and at each client


def round_half(x: float) -> int:
    return int(x + 0.5)


def test_probabilities_come_as_their_logarithms() -> None:
    """As they do from every view."""
    view = MemoryView()
    view.upload_kind = "probabilities"
    view.logits = view.logits.log_softmax(-1)
    cls = registry.load("defense", "temperature")
    warm = [[cls(cls.Settings(tau=3.0), "probabilities", Seeded(0))]] * 3

    class Warm(ViewOf):
        def client_logits(self, client: int, round: int) -> tuple[Tensor, Tensor]:
            rows, values = self.inner.client_logits(client, round)
            return rows, warm[0][0].on_upload(values.exp(), rows, round).log()

    _, values = UndoneView(Warm(view), "probabilities", warm).client_logits(1, 2)
    torch.testing.assert_close(values, view.client_logits(1, 2)[1], atol=1e-4, rtol=1e-4)
    assert values.dtype == torch.float32


def test_a_client_without_defenses_is_read_as_it_is() -> None:
    defenses = [[], [made("temperature", tau=5.0)], [made("gaussian", sigma=1.0)]]
    sent = Sent(MemoryView(), defenses)
    view = UndoneView(sent, "logits", defenses)
    for client in (0, 2):
        assert torch.equal(view.client_logits(client, 1)[1], sent.client_logits(client, 1)[1])
    torch.testing.assert_close(view.client_logits(1, 1)[1], MemoryView().client_logits(1, 1)[1])
    assert torch.equal(view.server_logits(1), sent.server_logits(1))


def test_views_stand_on_undone_ones() -> None:
    few = [[made("sparse", k, share=0.5)] for k in range(3)]
    view = UndoneView(Sent(MemoryView(), few), "logits", few)
    assert torch.equal(WithoutClient(view, 0).client_logits(0, 1)[0], view.client_logits(1, 1)[0])
    assert FirstRounds(view, 1).rounds == 1
    for one in (view, WithoutClient(view, 0), OwnModelView(view)):
        assert undoes(one)
    assert not undoes(SumView(Sent(MemoryView(), few)))


NOISY = [[made("gaussian", k, clip=1e6, sigma=60.0)] for k in range(2)]


def noisy(more: float) -> MemoryView:
    """Two clients and forty targets; client 0 believes so much more in every second one, whatever it is shown."""
    view, generator = MemoryView(clients=2, rounds=1), torch.Generator().manual_seed(3)
    rows, classes = 1200, 60
    labels = torch.randint(classes, (rows,), generator=generator)
    images = torch.zeros(rows, 3, 8, 8, dtype=torch.uint8)
    view.knowledge = Knowledge(PublicData(images, labels, labels >= 40), torch.arange(40), classes)
    view.logits = 4 * torch.randn(rows, classes, generator=generator).expand(3, 1, -1, -1).clone()
    view.logits[0, 0, :, 0:40:2] += more
    return view


def who_is_in(more: float, knows: bool) -> float:
    """The area under the curve of client 0's scores, every second target against the others."""
    sent = Sent(noisy(more), NOISY)
    view = UndoneView(sent, "logits", NOISY) if knows else sent
    scores = Identity(IdentitySettings()).ask(view)["all rounds"][0]
    return float((scores[0:40:2, None] > scores[None, 1:40:2]).double().mean())


def test_noise_on_logits_is_averaged_out_by_who_knows_of_it() -> None:
    """A softmax of what is mostly noise says which noise is largest: who reads so finds little in 1,200 rows."""
    assert who_is_in(9.0, knows=True) > 0.8
    assert who_is_in(9.0, knows=False) < 0.65
    assert who_is_in(0.0, knows=True) == pytest.approx(0.5, abs=0.2)  # of 20 and 20


def test_everything_that_is_compared_has_one_scale() -> None:
    """The noisiest client's: others, the server and its shadows are read as it is, so that references fit."""
    defenses = [[made("gaussian", clip=1e6, sigma=60.0)], [], [made("gaussian", clip=1e6, sigma=1.0)]]
    bare = MemoryView()
    view = UndoneView(bare, "logits", defenses)
    for client in range(3):
        torch.testing.assert_close(view.client_logits(client, 1)[1], bare.client_logits(client, 1)[1] / 20)
    torch.testing.assert_close(view.server_logits(2), bare.server_logits(2) / 20)
    torch.testing.assert_close(view.shadow_logits(1, 2), bare.shadow_logits(1, 2) / 20)
