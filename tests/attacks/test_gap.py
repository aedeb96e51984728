"""Confidence-gap inversion against plain least squares, its references, and leaks that are planted or absent."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from memory import MemoryView
from torch import Tensor

from logitleak.attacks.base import create
from logitleak.attacks.gap import side_by_side
from logitleak.attacks.references import reference_of
from logitleak.attacks.views import FirstRounds, OwnModelView, SumView, ViewOf, WithoutClient
from logitleak.errors import UserError
from logitleak.metrics.leak import compare
from logitleak.metrics.ssim import ssim
from logitleak.sealed.game import Game
from logitleak.types import Knowledge, PublicData


def tempered(logits: Tensor, tau: float) -> np.ndarray:
    scaled = np.exp(logits.double().numpy() / tau)
    return scaled / scaled.sum(-1, keepdims=True)


@pytest.mark.parametrize("reference", ["others", "server", "shadow", "none"])
@pytest.mark.parametrize("rounds", [1, "last", "all"])
def test_against_least_squares_with_extra_rows(reference: str, rounds: int | str) -> None:
    """A ridge term λs is the same as rows of √(λs) I with images of zeros, in a problem that numpy solves."""
    view, tau, lam = MemoryView(), 2.0, 0.3
    settings = {"tau": tau, "lam": lam, "reference": reference, "rounds": rounds, "contrast": 0.5}
    found = create("gap", settings).last(view).images
    public = view.knowledge.public
    rows = torch.nonzero(public.sensitive).flatten()
    used = {1: [1], "last": [2], "all": [1, 2]}[rounds]
    for client in range(view.clients):
        parts = []
        for t in used:
            own = tempered(view.client_logits(client, t)[1][rows], tau)
            if reference == "server":
                known = tempered(view.server_logits(t)[rows], tau)
            elif reference == "shadow":
                known = np.mean([tempered(view.shadow_logits(s, t)[rows], tau) for s in range(2)], 0)
            elif reference == "none":
                known = np.zeros_like(own)
            else:
                others = [k for k in range(view.clients) if k != client]
                known = np.mean([tempered(view.client_logits(k, t)[1][rows], tau) for k in others], 0)
            parts.append(own - known)
        z = np.concatenate(parts, 1)
        z = z - z.mean(0)
        images = public.pixels(rows).flatten(1).double().numpy()
        mean = images.mean(0)
        x, scale = images - mean, lam * np.trace(z.T @ z) / z.shape[1]
        stacked = np.vstack([z, np.sqrt(scale) * np.eye(z.shape[1])])
        weights = np.linalg.lstsq(stacked, np.vstack([x, np.zeros((z.shape[1], x.shape[1]))]), rcond=None)[0]
        target = np.tile(np.eye(view.classes)[view.knowledge.target_labels.numpy()], (1, len(used)))
        departures = target @ weights
        length = 0.5 * np.sqrt((x**2).mean())
        departures *= length / np.sqrt((departures**2).mean(1, keepdims=True))
        expected = (mean + departures).clip(0, 1).reshape(2, 3, 16, 16)
        np.testing.assert_allclose(found[client].numpy(), expected, atol=2e-5)


def test_others_leaves_the_client_out_and_needs_an_answer_for_the_same_row() -> None:
    view = MemoryView(clients=2)
    rows, gap = reference_of("others", 1.0).gap(view, 0, 1)
    assert bool(view.knowledge.public.sensitive[rows].all())
    own, other = (view.client_logits(k, 1)[1][rows].softmax(-1) for k in (0, 1))
    torch.testing.assert_close(gap, own - other)
    alone = WithoutClient(view, 1)
    assert len(reference_of("others", 1.0).gap(alone, 0, 1)[0]) == 0  # nobody else answered for any row


def test_where_others_hardly_answered_for_an_image_the_server_stands_for_them() -> None:
    """Moved by what they say beyond it on the images that they did answer for; without a server few rows are left."""

    class Quarters(ViewOf):
        def client_logits(self, client: int, round: int) -> tuple[Tensor, Tensor]:
            rows, values = self.inner.client_logits(client, round)
            own = (rows % 4 == client % 4) | (rows == 1)
            return rows[own], values[own]

    inner = MemoryView(clients=2)
    view = Quarters(inner)
    sensitive = view.knowledge.public.sensitive
    p = [inner.client_logits(k, 1)[1].softmax(-1) for k in range(2)]
    server = inner.server_logits(1).softmax(-1)
    mine, theirs = (view.client_logits(k, 1)[0] for k in range(2))
    mine, theirs = mine[sensitive[mine]], theirs[sensitive[theirs]]
    rows, gap = reference_of("others", 1.0).gap(view, 0, 1)
    assert torch.equal(rows, mine)
    beyond = (p[1] - server)[theirs].mean(0)
    torch.testing.assert_close(gap, (p[0] - server)[mine] - beyond)
    view.provides = frozenset({"logits"})
    rows, gap = reference_of("others", 1.0).gap(view, 0, 1)
    assert rows.tolist() == [1]
    torch.testing.assert_close(gap, (p[0] - p[1])[rows])


def test_rounds_that_ask_for_different_rows() -> None:
    first = torch.tensor([0, 3]), torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    second = torch.tensor([3, 5]), torch.tensor([[4.0, 4.0], [0.0, 0.0]])
    rows, z = side_by_side([first, second])
    assert rows.tolist() == [0, 3, 5]
    assert z.tolist() == [[0.5, -1.0, 0.0, 0.0], [-0.5, 1.0, 2.0, 2.0], [0.0, 0.0, -2.0, -2.0]]


def test_a_client_that_was_never_heard_claims_the_mean() -> None:
    class Silent(MemoryView):
        def client_logits(self, client: int, round: int) -> tuple[Tensor, Tensor]:
            rows, values = super().client_logits(client, round)
            return (rows[:0], values[:0]) if client == 1 else (rows, values)

    view = Silent()
    attack = create("gap")
    result = attack.last(view)
    public = view.knowledge.public
    torch.testing.assert_close(result.images[1, 0], public.pixels(public.rows("sensitive")).mean(0))
    assert 1 not in result.chosen.tolist()


def test_a_round_without_rows_gives_way_to_the_newest_that_has_them() -> None:
    class Early(MemoryView):
        def client_logits(self, client: int, round: int) -> tuple[Tensor, Tensor]:
            rows, values = super().client_logits(client, round)
            return (rows, values) if round == 1 else (rows[:0], values[:0])

    attack = create("gap", {"rounds": "last"})
    result = attack.last(Early())
    assert torch.equal(result.images, create("gap").last(FirstRounds(Early(), 1)).images)
    assert {"round": 2, "client": 0} in attack.trace.choices["rounds without rows"]


def test_one_client_falls_back_on_the_server() -> None:
    view = MemoryView(clients=1)
    assert create("gap").last(view).images.isfinite().all()
    with pytest.raises(UserError, match="needs a second client"):
        create("gap", {"reference": "others"}).last(view)
    view.provides = frozenset({"logits"})  # type: ignore[misc]
    with pytest.raises(UserError, match="server's own outputs"):
        create("gap").last(view)


def test_one_client_without_public_labels_is_compared_with_nobody() -> None:
    """f_0 has learnt from it, so their difference says little; who it was is not known from labels either."""
    view = MemoryView(clients=1)
    public = view.knowledge.public
    view.knowledge = replace(view.knowledge, public=PublicData(public.images, None, public.sensitive))
    attack = create("gap")
    found = attack.last(view)
    assert attack.trace.choices["used"] == {"reference": "none", "rounds": "last", "tau": 10.0, "lambda": 0.1}
    view.provides = frozenset({"logits"})  # type: ignore[misc]
    assert torch.equal(create("gap").last(view).images, found.images)  # f_0 is not asked


def test_f_0_in_place_of_a_client_leaves_nothing() -> None:
    """The control that must come out at zero: no gap, so nothing departs from the mean."""
    view = OwnModelView(MemoryView())
    public = view.knowledge.public
    images = create("gap", {"reference": "server"}).last(view).images
    mean = public.pixels(public.rows("sensitive")).mean(0)
    torch.testing.assert_close(images, mean.expand_as(images))


def test_f_0_answers_for_every_row_that_some_client_answered_for() -> None:
    class Halves(ViewOf):
        def client_logits(self, client: int, round: int) -> tuple[Tensor, Tensor]:
            rows, values = self.inner.client_logits(client, round)
            own = rows % 2 == client % 2
            return rows[own], values[own]

    view = MemoryView(clients=2)
    rows, values = OwnModelView(Halves(view)).client_logits(0, 1)
    assert torch.equal(rows, torch.arange(len(view.knowledge.public)))
    assert torch.equal(values, view.server_logits(1))


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_the_sum_is_the_mean_of_what_is_averaged(kind: str) -> None:
    view = MemoryView()
    view.upload_kind = kind  # type: ignore[assignment]
    if kind == "probabilities":
        view.logits = view.logits.log_softmax(-1)
    rows, values = SumView(view).client_logits(0, 2)
    uploads = torch.stack([view.client_logits(k, 2)[1] for k in range(3)])
    expected = uploads.exp().mean(0).log() if kind == "probabilities" else uploads.mean(0)
    assert rows.tolist() == list(range(len(view.knowledge.public)))
    torch.testing.assert_close(values, expected)


def test_a_sum_of_models_is_refused() -> None:
    view = MemoryView()
    view.upload_kind = "weights"
    with pytest.raises(UserError, match="send models"):
        SumView(view)


@dataclass
class Planted:
    """Twin worlds without a federation: a client's confidence in a target follows, on every public image, how much that
    image has of the target's private one; by ``strength``, where the target is in."""

    strength: float

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(3)
        coarse = torch.rand(60 + 12, 3, 4, 4, generator=generator)
        pictures = torch.nn.functional.interpolate(coarse, size=16, mode="bilinear")
        self.public, self.private = pictures[:60], pictures[60:]
        labels = torch.arange(60) % 30 + 12
        images = (self.public * 255).to(torch.uint8)
        everything = PublicData(images, labels, torch.ones(60, dtype=torch.bool))
        self.knowledge = Knowledge(everything, torch.arange(12), 42)
        half = torch.arange(12) % 4 < 2
        self.game = Game("twins", torch.arange(12), torch.arange(12) % 2, torch.stack([half, ~half]))

    def view(self, world: int) -> MemoryView:
        view = MemoryView(clients=2, rounds=1, classes=42)
        view.knowledge = self.knowledge
        noise = torch.randn(3, 1, 60, 42, generator=torch.Generator().manual_seed(world))
        mean = self.public.mean(0)
        match = torch.einsum("ipqr,jpqr->ij", self.public - mean, self.private - mean)
        for target in torch.nonzero(self.game.coins[world]).flatten().tolist():
            noise[target % 2, 0, :, target] += self.strength * match[:, target] / match[:, target].std()
        view.logits = noise
        return view

    def leak(self) -> dict:
        images = [create("gap", {"tau": 3, "lam": 1}).last(self.view(world)).best for world in range(2)]
        likeness = torch.stack([ssim(each, self.private) for each in images])
        return compare(likeness > likeness.mean(), likeness, self.game)


def test_a_planted_leak_is_found() -> None:
    found = Planted(strength=3.0).leak()
    assert found["wins"]["successes"] >= 11
    assert found["ssim"]["low"] > 0
    assert found["leak"]["low"] > 0


def test_where_nothing_is_planted_nothing_is_found() -> None:
    found = Planted(strength=0.0).leak()
    assert found["leak"]["low"] <= 0 <= found["leak"]["high"]
    assert found["wins"]["p"] > 0.01  # a binomial test at a level that one seed in a hundred would fail
