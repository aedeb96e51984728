"""Cronus against a slow transcription of its rounds, image by image."""

import math

import pytest
import torch
from three_clients import (
    CLASSES,
    OPTIMIZATION,
    ROUNDS,
    SIDE,
    Person,
    assert_as_written_out,
    images,
    simulate,
    world,
)
from torch import Tensor

from logitleak.federation.bank import ModelBank
from logitleak.federation.trainer import Trainer
from logitleak.schemes.base import ClientContext
from logitleak.schemes.cronus import Cronus, CronusSettings, robust_mean
from logitleak.types import ClientData, Payload, PublicData


def mean_of(points: list[Tensor]) -> Tensor:
    return sum(points, torch.zeros(points[0].shape, dtype=torch.float64)) / len(points)


def filtered(points: list[Tensor], most: int, variance: float) -> list[Tensor]:
    """The points of one public image that the filter leaves, by the covariance itself."""
    left = list(points)
    for _ in range(most):
        mean = mean_of(left)
        covariance = sum(
            (torch.outer(p - mean, p - mean) for p in left), torch.zeros(CLASSES, CLASSES).double()
        )
        values, vectors = torch.linalg.eigh(covariance / len(left))
        if values[-1] <= variance:
            break
        far = [abs(float(vectors[:, -1] @ (p - mean))) for p in left]
        del left[far.index(max(far))]
    return left


def literal(clients: int, s: CronusSettings) -> tuple[list[list[Tensor]], list[Tensor], list[Tensor]]:
    """The pseudo-code: uploads, what the server sends, and its own logits."""
    public, data = world(clients)
    people, server = [Person("cnn", k) for k in range(clients)], Person("cnn", "server")
    for person, mine in zip(people, data, strict=True):
        person.learn_labels(mine.images, mine.labels, s.initialize, "initialize", 0)
    uploads, sent, own = [], [], []
    for t in range(1, ROUNDS + 1):
        uploads.append([person.logits(public.images).softmax(1) for person in people])
        most = math.ceil(s.corrupted * clients) if clients > 2 and s.aggregation == "robust" else 0
        q = torch.stack(
            [
                mean_of(filtered([u[i] for u in uploads[-1]], most, s.variance))
                for i in range(len(public.images))
            ]
        )
        sent.append(q)

        def soft(out: Tensor, rows: Tensor, q: Tensor = q) -> Tensor:
            return (-q[rows] * torch.log(out.exp() / out.exp().sum(1, keepdim=True))).sum() / len(rows)

        server.learn(public.images, soft, s.server, "server", t)
        for person, mine in zip(people, data, strict=True):
            if clients == 1:
                person.learn_labels(mine.images, mine.labels, s.learn, "learn", t)
                continue
            labels = torch.zeros(len(mine), CLASSES, dtype=torch.float64)
            for i, label in enumerate(mine.labels.tolist()):
                labels[i, label] = 1
            both, wanted = torch.cat([public.images, mine.images]), torch.cat([q, labels])
            person.learn(both, lambda out, rows, w=wanted: soft(out, rows, w), s.learn, "learn", t)
        own.append(server.logits(public.images))
    return uploads, sent, own


@pytest.mark.parametrize("aggregation", ["robust", "mean"])
@pytest.mark.parametrize("clients", [1, 3])
def test_equals_the_pseudo_code(clients: int, aggregation: str) -> None:
    settings = CronusSettings(aggregation=aggregation, initialize=3, variance=0)  # type: ignore[arg-type]
    found = simulate(Cronus(settings), clients, ["cnn"])
    assert_as_written_out(found, literal(clients, settings), clients, ("learn", "aggregate"))


def test_one_client_is_sent_nothing() -> None:
    events, _ = simulate(Cronus(CronusSettings()), 1, ["cnn"])
    assert {e.action for e in events} == {"initialize", "upload", "learn"}
    assert all(not e.sent.tensors for e in events)


def outputs(clients: int, rows: int, seed: int = 0) -> list[Tensor]:
    draws = torch.randn(clients, rows, CLASSES, generator=torch.Generator().manual_seed(seed))
    return list(draws.double().softmax(-1))


@pytest.mark.parametrize("variance", [0.0, 0.02])
@pytest.mark.parametrize(("clients", "most"), [(4, 1), (11, 4)])
def test_the_filter_is_that_of_the_covariance(clients: int, most: int, variance: float) -> None:
    """With fewer clients than classes and with more."""
    given = outputs(clients, 40)
    found = robust_mean(given, 0.3, variance)
    for i in range(40):
        left = filtered([one[i] for one in given], most, variance)
        torch.testing.assert_close(found[i], mean_of(left))


def test_liars_have_no_weight() -> None:
    """Eight clients agree but for a little, two tell the same lie: the mean is off by a fifth of it."""
    honest = [(0.99 * torch.eye(CLASSES)[:3].double() + 0.01 * one) for one in outputs(8, 3)]
    lie = torch.eye(CLASSES)[[4, 4, 4]].double()
    truth, told = mean_of(honest), [*honest[:5], lie, *honest[5:], lie]
    torch.testing.assert_close(robust_mean(told, 0.2, 0.01), truth)
    assert float((mean_of(told) - truth).norm(dim=1).min()) > 0.2


def test_who_agrees_is_heard() -> None:
    given = [0.9 * outputs(1, 30)[0] + 0.1 * one for one in outputs(7, 30, seed=1)]
    torch.testing.assert_close(robust_mean(given, 0.4, 0.01), mean_of(given))


@pytest.mark.parametrize("clients", [1, 2])
def test_never_half_of_the_clients_are_left_out(clients: int) -> None:
    given = outputs(clients, 5)
    torch.testing.assert_close(robust_mean(given, 0.49, 0.0), mean_of(given))


def test_rows_are_filtered_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """In parts as all at once."""
    given = outputs(6, 50)
    whole = robust_mean(given, 0.3, 0.0)
    monkeypatch.setattr("logitleak.schemes.cronus._ROWS", 7)
    torch.testing.assert_close(robust_mean(given, 0.3, 0.0), whole, rtol=1e-12, atol=1e-12)


def test_a_client_without_images_learns_the_public_set_alone() -> None:
    public, _ = world(1)
    nobody = ClientData(images(0, 0), torch.empty(0, dtype=torch.int64))
    q = outputs(1, 10)[0]
    scheme = Cronus(CronusSettings())
    bank = ModelBank("cnn", (SIDE, SIDE), CLASSES, [0], OPTIMIZATION, 9, dtype=torch.float64)
    context = ClientContext(PublicData(public.images, None, public.sensitive), 1, [0])
    scheme.learn(bank, [nobody], Payload({"aggregate": q}), context)
    person = Person("cnn", 0)
    person.learn(
        public.images, lambda out, rows: (-q[rows] * out.log_softmax(1)).sum() / len(rows), 2, "learn", 1
    )
    torch.testing.assert_close(bank.predict(public.images)[0], person.logits(public.images))


def test_a_client_with_a_trainer_learns_its_own_images_last() -> None:
    """Defenses of training act on private images, so these are learnt apart from the public ones."""
    public, data = world(2)
    q = outputs(1, 10)[0]
    bank = ModelBank("cnn", (SIDE, SIDE), CLASSES, [0, 1], OPTIMIZATION, 9, dtype=torch.float64)
    context = ClientContext(public, 1, [0, 1], trainers={1: Trainer([])})
    Cronus(CronusSettings(learn=1)).learn(bank, data, Payload({"aggregate": q}), context)
    person = Person("cnn", 1)
    person.learn(
        public.images,
        lambda out, rows: (-q[rows] * out.log_softmax(1)).sum() / len(rows),
        1,
        "learn-public",
        1,
    )
    person.learn_labels(data[1].images, data[1].labels, 1, "learn", 1)
    torch.testing.assert_close(bank.predict(public.images)[1], person.logits(public.images))
