"""FedGEMS against a slow transcription of its rounds, row by row."""

import math

import pytest
import torch
from three_clients import CLASSES, ROUNDS, Person, simulate, world
from torch import Tensor

from logitleak.schemes.fedgems import FedGEMS, FedGEMSSettings, divergence, join


def entropy(logits: Tensor) -> float:
    p = logits.softmax(0)
    return float(-(p * p.log()).sum())


def kl(teacher: Tensor, student: Tensor) -> Tensor:
    """Σ t log(t / s) of two logit vectors."""
    t, s = teacher.softmax(0), student.softmax(0)
    return sum((t[j] * (t[j].log() - s[j].log()) for j in range(CLASSES)), torch.tensor(0.0))


def ensemble(rows: list[Tensor], label: int) -> Tensor | None:
    """One row's logits of all clients: softmax(1/entropy) among those that are right; None where none is."""
    right = [row for row in rows if int(row.argmax()) == label]
    if not right:
        return None
    certainty = [1 / entropy(row) for row in right]
    weights = [math.exp(c - max(certainty)) for c in certainty]
    return sum((w / sum(weights) * row for w, row in zip(weights, right, strict=True)), torch.zeros(CLASSES))


def literal(clients: int, s: FedGEMSSettings) -> tuple[list[list[int]], list[list[Tensor]], list[Tensor]]:
    """The pseudo-code: rows asked for, uploads, and the server's own logits."""
    public, data = world(clients)
    x, y = public.images, public.labelled().labels
    people, server = [Person("cnn", k) for k in range(clients)], Person("cnn", "server")
    memory: dict[int, Tensor] = {}
    asked, uploads, own = [], [], []
    for t in range(1, ROUNDS + 1):
        for person, mine in zip(people, data, strict=True):
            person.learn_labels(mine.images, mine.labels, s.learn, "learn", t)
        now, teacher = server.logits(x), {}
        for i in range(len(x)):
            if int(now[i].argmax()) == int(y[i]):
                memory[i] = now[i]
            elif i in memory:
                teacher[i] = memory[i]
        rows = [i for i in range(len(x)) if i not in memory]
        sent = [person.logits(x[rows]) for person in people]
        for place, i in enumerate(rows):
            joined = ensemble([logits[place] for logits in sent], int(y[i]))
            if joined is not None:
                teacher[i] = joined

        def server_loss(out: Tensor, batch: Tensor, teacher: dict[int, Tensor] = teacher) -> Tensor:
            total = torch.tensor(0.0)
            for place, i in enumerate(batch.tolist()):
                hard = -out[place].log_softmax(0)[y[i]]
                if i in teacher:
                    hard = s.epsilon * hard + (1 - s.epsilon) * kl(teacher[i], out[place])
                total = total + hard
            return total / len(batch)

        server.learn(x, server_loss, s.server, "server", t)
        taught = server.logits(x)

        def client_loss(out: Tensor, batch: Tensor, taught: Tensor = taught) -> Tensor:
            hard = -out.log_softmax(1)[torch.arange(len(batch)), y[batch]].mean()
            soft = torch.stack([kl(taught[i], out[n]) for n, i in enumerate(batch.tolist())]).mean()
            return s.epsilon * hard + (1 - s.epsilon) * soft

        for person in people:
            person.learn(x, client_loss, s.distill, "distill", t)
        asked.append(rows)
        uploads.append(sent)
        own.append(taught)
    return asked, uploads, own


@pytest.mark.parametrize("clients", [1, 3])
@pytest.mark.parametrize("settings", [FedGEMSSettings(), FedGEMSSettings(epsilon=0.25, server=6)])
def test_equals_the_pseudo_code(clients: int, settings: FedGEMSSettings) -> None:
    events, own = simulate(FedGEMS(settings), clients, ["cnn"])
    asked, uploads, expected_own = literal(clients, settings)
    for t in range(ROUNDS):
        (event,) = (e for e in events if e.round == t + 1 and e.action == "upload")
        assert event.sent.tensors["rows"].tolist() == asked[t]
        for k in range(clients):
            torch.testing.assert_close(
                event.received[k].tensors["logits"], uploads[t][k], rtol=1e-8, atol=1e-8
            )
        torch.testing.assert_close(own[t], expected_own[t], rtol=1e-8, atol=1e-8)


def test_less_is_asked_for_when_the_server_knows_more() -> None:
    events, _ = simulate(FedGEMS(FedGEMSSettings(server=25)), 3, ["cnn"])
    first, second = (e.sent.tensors["rows"] for e in events if e.action == "upload")
    assert len(second) < len(first)
    assert set(second.tolist()) <= set(first.tolist())


def test_saturated_outputs_stay_numbers() -> None:
    """A client that is right and certain has entropy 0; 1/entropy must not become NaN."""
    certain = torch.tensor([[200.0, 0, 0], [0, 200.0, 0]])
    logits, taught = join([certain, torch.zeros(2, 3)], torch.tensor([0, 2]))
    torch.testing.assert_close(logits, torch.tensor([[200.0, 0, 0], [0, 0, 0]]))
    assert taught.tolist() == [True, False]


def test_wrong_clients_have_no_weight() -> None:
    right, wrong = torch.tensor([[1.0, 0, 0]]), torch.tensor([[0, 9.0, 0]])
    torch.testing.assert_close(join([wrong, right, wrong], torch.tensor([0]))[0], right)


def test_no_row_asked_for() -> None:
    logits, taught = join([torch.empty(0, 3)] * 2, torch.empty(0, dtype=torch.int64))
    assert logits.shape == (0, 3)
    assert taught.shape == (0,)


def test_divergence_is_torch_kl() -> None:
    teacher, student = torch.randn(5, 4), torch.randn(5, 4)
    expected = torch.nn.functional.kl_div(
        student.log_softmax(1), teacher.log_softmax(1), reduction="none", log_target=True
    ).sum(1)
    torch.testing.assert_close(divergence(teacher, student), expected)
