"""DS-FL against a slow transcription of its rounds."""

import math

import pytest
import torch
from three_clients import CLASSES, ROUNDS, Person, assert_as_written_out, simulate, world
from torch import Tensor

from logitleak.schemes.dsfl import DSFL, DSFLSettings, soft_cross_entropy


def sharpened(uploads: list[Tensor], era: bool) -> Tensor:
    """The server's aggregation, number by number."""
    rows = []
    for i in range(len(uploads[0])):
        mean = [sum(float(u[i, j]) for u in uploads) / len(uploads) for j in range(CLASSES)]
        if era:
            powers = [math.exp(m / 0.1) for m in mean]
            mean = [p / sum(powers) for p in powers]
        rows.append(mean)
    return torch.tensor(rows, dtype=torch.float64)


def literal(clients: int, s: DSFLSettings) -> tuple[list[list[Tensor]], list[Tensor], list[Tensor]]:
    """The pseudo-code: uploads, what the server sends, and its own logits."""
    public, data = world(clients)
    x = public.images
    people, server = [Person("cnn", k) for k in range(clients)], Person("cnn", "server")
    uploads, sent, own = [], [], []
    for t in range(1, ROUNDS + 1):
        for person, mine in zip(people, data, strict=True):
            person.learn_labels(mine.images, mine.labels, s.learn, "learn", t)
        uploads.append([person.logits(x).softmax(1) for person in people])
        q = sharpened(uploads[-1], s.aggregation == "era")
        sent.append(q)

        def soft(out: Tensor, rows: Tensor, q: Tensor = q) -> Tensor:
            return (-q[rows] * torch.log(out.exp() / out.exp().sum(1, keepdim=True))).sum() / len(rows)

        server.learn(x, soft, s.server, "server", t)
        for person in people:
            if clients > 1:
                person.learn(x, soft, s.distill, "distill", t)
        own.append(server.logits(x))
    return uploads, sent, own


@pytest.mark.parametrize("aggregation", ["era", "simple"])
@pytest.mark.parametrize("clients", [1, 3])
def test_equals_the_pseudo_code(clients: int, aggregation: str) -> None:
    settings = DSFLSettings(aggregation=aggregation)  # type: ignore[arg-type]
    found = simulate(DSFL(settings), clients, ["cnn"])
    assert_as_written_out(found, literal(clients, settings), clients, ("distill", "consensus"))


def test_one_client_is_sent_nothing() -> None:
    events, _ = simulate(DSFL(DSFLSettings()), 1, ["cnn"])
    assert {e.action for e in events} == {"learn", "upload"}
    assert all(not e.sent.tensors for e in events)


def test_era_reduces_entropy_and_keeps_the_order() -> None:
    mean = torch.rand(20, CLASSES, generator=torch.Generator().manual_seed(0)).softmax(1)
    sharp = DSFL(DSFLSettings()).sharpen(mean)
    entropy = [-(p * p.log()).sum(1) for p in (mean, sharp)]
    assert bool((entropy[1] < entropy[0]).all())
    assert torch.equal(sharp.argsort(1), mean.argsort(1))


def test_soft_cross_entropy_of_one_hot_is_cross_entropy() -> None:
    logits, labels = torch.randn(6, CLASSES), torch.tensor([0, 1, 2, 3, 4, 0])
    one_hot = torch.nn.functional.one_hot(labels, CLASSES).float()
    expected = torch.nn.functional.cross_entropy(logits, labels)
    torch.testing.assert_close(soft_cross_entropy(logits, one_hot), expected)
