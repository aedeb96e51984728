"""The numbers of every audit against plain loops, closed forms, and a literal transcription of the rivals."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
import torch
from planted import PlantedView, asked_of

from logitleak.attacks.views import HardLabels, LastRound, SumView
from logitleak.audits.base import Asked, create
from logitleak.audits.identity import OFFLINE, standardized
from logitleak.audits.records import lira, logit_scaled, ridge_weights


def beliefs(view: PlantedView, client: int, round: int, tau: float) -> np.ndarray:
    logits = view.logits[client, round - 1].double().numpy() / tau
    scaled = np.exp(logits - logits.max(1, keepdims=True))
    return scaled / scaled.sum(1, keepdims=True)


def test_identity_by_a_plain_loop() -> None:
    view = PlantedView(strength=0.7)
    found = create("identity", {"tau_sensitive": 2.0, "tau_own": [5.0]}).ask(view)
    labels = view.knowledge.public.labels
    assert labels is not None
    total = np.zeros((4, 8))
    for round in (1, 2):
        features = []
        for own, tau in ((False, 2.0), (True, 5.0)):
            level = np.empty((4, 8))
            for client in range(4):
                others = np.mean([beliefs(view, k, round, tau) for k in range(4) if k != client], 0)
                gap = beliefs(view, client, round, tau) - others
                for target in range(8):
                    rows = labels == target if own else view.knowledge.public.sensitive
                    level[client, target] = gap[rows.numpy(), target].mean()
            features.append((level - level.mean()) / level.std())
        np.testing.assert_allclose(found[f"round {round}"].numpy(), sum(features), atol=1e-4)
        total += sum(features) / round
    np.testing.assert_allclose(found["all rounds"].numpy(), total, atol=1e-4)


def test_identity_of_a_sum_takes_the_largest_against_the_server() -> None:
    view = PlantedView(strength=0.7, labelled=False)
    found = create("identity", {"tau_sum": 2.0, "largest": 3}).ask(SumView(view))["round 1"]
    rows = view.knowledge.public.sensitive
    mean = view.logits[:4, 0].mean(0)[rows].double().div(2).softmax(1)
    gap = (mean - view.logits[-1, 0][rows].double().div(2).softmax(1))[:, :8]
    expected = standardized(gap.sort(0, descending=True).values[:3].mean(0, keepdim=True))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_a_silent_client_does_not_change_what_is_usual_for_a_class() -> None:
    """Where all clients say the same of public rows, the scores are the same whether one of them was silent or not."""
    view = PlantedView()
    view.logits[:] = view.logits[:1].clone()
    for target in range(view.classes):
        view.logits[..., target] += target  # some classes are believed in more
    asked = asked_of(view)
    there = create("queried").ask(view, asked)["against class and others"]
    view.absent = (1,)
    silent = create("queried").ask(view, asked)["against class and others"]
    torch.testing.assert_close(there, silent)


def test_identity_on_rows_that_only_some_answered_for() -> None:
    """Who answered for fewer rows is compared on those alone."""
    view = PlantedView(strength=1.0, labelled=False)
    few = torch.arange(10, 60)

    class Fewer(HardLabels):
        def client_logits(self, client: int, round: int) -> tuple[torch.Tensor, torch.Tensor]:
            rows, values = self.inner.client_logits(client, round)
            return (few.flip(0), values[few.flip(0)]) if client == 2 else (rows, values)

    everybody = PlantedView(strength=1.0, labelled=False, rows=few)
    found, expected = create("identity").ask(Fewer(view)), create("identity").ask(everybody)
    for variant in expected:
        torch.testing.assert_close(found[variant], expected[variant], atol=1e-5, rtol=1e-5)


def test_a_ruler_takes_away_what_is_usual_for_a_target() -> None:
    """A target that everybody believes in more is no member for that."""
    lab = [PlantedView(seed=seed) for seed in (5, 6)]
    view = PlantedView()
    for one in (view, *lab):
        one.logits[:4, :, :, 3] += 2.0
    asked = Asked(**{**Asked.nothing().__dict__, "lab": [SumView(one) for one in lab]})
    found = create("identity").ask(SumView(view), asked)
    plain, ruled = found["all rounds"][0], found[OFFLINE][0]
    assert int(plain.argmax()) == 3
    assert float((ruled[3] - ruled.mean()) / ruled.std()) < float((plain[3] - plain.mean()) / plain.std()) - 1


def test_hard_labels_and_the_last_round() -> None:
    view = PlantedView()
    rows, hard = HardLabels(view).client_logits(0, 1)
    assert torch.equal(
        hard.div(10).softmax(1), torch.nn.functional.one_hot(view.logits[0, 0].argmax(1), 12).float()
    )
    last = LastRound(view)
    assert last.rounds == 1
    assert torch.equal(last.client_logits(2, 1)[1], view.logits[2, 1])
    assert torch.equal(last.server_logits(1), view.logits[-1, 1])
    assert len(rows) == len(view.knowledge.public)


def test_a_sum_of_some_is_without_the_others() -> None:
    view = PlantedView()
    _, values = SumView(view, [1, 3]).client_logits(0, 2)
    torch.testing.assert_close(values, (view.logits[1, 1] + view.logits[3, 1]) / 2)


def test_shares_of_clients_that_say_their_prior() -> None:
    """Clients whose outputs are their class shares, on every row, are read off exactly."""
    view = PlantedView(clients=3, rounds=2)
    prior = torch.rand(3, 12, generator=torch.Generator().manual_seed(4)) + 0.1
    prior /= prior.sum(1, keepdim=True)
    view.logits[:3] = prior.log()[:, None, None]
    found = create("shares").ask(view)
    torch.testing.assert_close(found["mean softmax"], prior.double(), atol=1e-6, rtol=1e-5)
    relative = prior.double().log() - prior.double().log().mean(0)
    expected = ((prior.double().log() + relative.softmax(1).log()) / 2).softmax(1)
    torch.testing.assert_close(found["combined"], expected, atol=1e-6, rtol=1e-5)


def test_logit_scaled_confidence() -> None:
    logits = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 3, 1, 1, 2])
    p = logits.double().softmax(2)
    own = p[:, torch.arange(5), labels]
    torch.testing.assert_close(logit_scaled(logits, labels), (own / (1 - own)).log())


def test_co_op_lira_literally() -> None:
    """Of arXiv 2502.08001: the Gaussian distribution function of a candidate's scaled confidence under those of the
    other clients."""
    levels = torch.randn(5, 7, generator=torch.Generator().manual_seed(1)).double()
    clients = torch.tensor([0, 1, 2, 3, 4, 0, 1])
    found = lira(levels, clients)
    for place, client in enumerate(clients.tolist()):
        others = [float(levels[k, place]) for k in range(5) if k != client]
        mean = sum(others) / 4
        deviation = math.sqrt(sum((x - mean) ** 2 for x in others) / 4)
        assert float(found[place]) == pytest.approx(
            NormalDist(mean, deviation).cdf(float(levels[client, place]))
        )


def test_the_linear_reading_is_a_ridge_regression() -> None:
    generator = torch.Generator().manual_seed(2)
    seen, asked, z = (torch.randn(n, 6, generator=generator, dtype=torch.float64) for n in (9, 4, 9))
    weights = ridge_weights(seen, asked, 0.2)
    scale = 0.2 * float((seen @ seen.T).diagonal().mean())
    primal = torch.linalg.solve(seen.T @ seen + scale * torch.eye(6, dtype=torch.float64), seen.T @ z)
    torch.testing.assert_close(weights @ z, asked @ primal)


def test_a_member_that_stands_out_in_its_class_is_found_where_confidence_alone_misleads() -> None:
    """A client that holds much of a class believes in all of it; what counts is what it says beyond that."""
    view = PlantedView(one_domain=True)
    asked = asked_of(view, members=200, strength=1.5)
    bias = 4 * torch.randn(view.clients, view.classes, generator=torch.Generator().manual_seed(3))
    view.logits[:4] += bias[:, None, None]
    replies = {round: said + bias[:, None] for round, said in asked.replies.items()}
    found = create("queried").ask(view, Asked(**{**asked.__dict__, "replies": replies}))
    from logitleak.metrics.detection import area

    areas = {name: area(s[:200].tolist(), s[200:].tolist())["value"] for name, s in found.items()}
    assert areas["against class and others"] > areas["Co-op LiRA"]
    assert areas["against class and others"] > areas["confidence"] + 0.1


class Parts(HardLabels):
    """A federation whose clients answer for few rows, others in each round."""

    def __init__(self, view: PlantedView, few: int = 8) -> None:
        super().__init__(view)
        self.few = few

    def client_logits(self, client: int, round: int) -> tuple[torch.Tensor, torch.Tensor]:
        rows, values = self.inner.client_logits(client, round)
        generator = torch.Generator().manual_seed(10 * client + round)
        own = torch.randperm(len(rows), generator=generator)[: self.few]
        return rows[own], values[own]


@pytest.mark.parametrize("few", [8, 30])
def test_identity_where_hardly_a_row_has_an_answer_of_all(few: int) -> None:
    """By a plain loop: on rows of its own against those others who answered for them; or where hardly anybody did,
    beyond the server on those rows, against the others on theirs."""
    inner = PlantedView(strength=4.0, labelled=False, one_domain=True)
    view = Parts(inner, few)
    found = create("identity", {"tau_sensitive": 2.0}).ask(view)["round 2"]
    rows = [view.client_logits(k, 2)[0].tolist() for k in range(4)]
    p = [beliefs(inner, k, 2, 2.0) for k in range(4)]
    server = beliefs(inner, 4, 2, 2.0)
    level = np.empty((4, 8))
    for client in range(4):
        others = [k for k in range(4) if k != client]
        shared = [row for row in rows[client] if any(row in rows[k] for k in others)]
        if 2 * len(shared) < len(rows[client]):
            theirs = [p[k][row] - server[row] for k in others for row in rows[k]]
            gaps = [p[client][row] - server[row] - np.mean(theirs, 0) for row in rows[client]]
        else:
            gaps = [
                p[client][row] - np.mean([p[k][row] for k in others if row in rows[k]], 0) for row in shared
            ]
        level[client] = np.mean(gaps, 0)[:8]
    np.testing.assert_allclose(found.numpy(), (level - level.mean()) / level.std(), atol=1e-4)


def test_identity_without_a_server_stands_on_rows_of_others() -> None:
    inner = PlantedView(strength=4.0, labelled=False, one_domain=True)
    inner.provides = frozenset({"logits"})
    view = Parts(inner, 10)
    found = create("identity", {"tau_sensitive": 2.0}).ask(view)["round 1"]
    answered = [set(view.client_logits(k, 1)[0].tolist()) for k in range(4)]
    level = np.empty((4, 8))
    for client in range(4):
        gaps = []
        for row in sorted(answered[client]):
            others = [k for k in range(4) if k != client and row in answered[k]]
            if others:
                mean = np.mean([beliefs(inner, k, 1, 2.0)[row] for k in others], 0)
                gaps.append(beliefs(inner, client, 1, 2.0)[row] - mean)
        level[client] = np.mean(gaps, 0)[:8]
    np.testing.assert_allclose(found.numpy(), (level - level.mean()) / level.std(), atol=1e-4)


def test_identity_where_nothing_is_planted_in_few_rows() -> None:
    """Owners are believed in no more than others are."""
    scores = torch.stack([
        create("identity").ask(Parts(PlantedView(seed=seed)))["all rounds"] for seed in range(20)
    ])  # fmt: skip
    mine, known = scores[:, torch.arange(8) % 4, torch.arange(8)], scores[~scores.isnan()]
    spread = float(known.std()) / int((~mine.isnan()).sum()) ** 0.5
    assert abs(float(mine.nanmean() - known.mean())) < 4 * spread
