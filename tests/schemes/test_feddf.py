"""FedDF against a slow transcription of its rounds."""

import pytest
import torch
from three_clients import CLASSES, ROUNDS, SIDE, Person, simulate, world
from torch import Tensor

from logitleak.errors import UserError
from logitleak.federation.bank import ModelBank, Optimization
from logitleak.schemes.base import Server
from logitleak.schemes.fedavg import FedAvg, FedAvgSettings
from logitleak.schemes.feddf import FedDF, FedDFSettings, soft_divergence
from logitleak.types import Payload


def kl(teacher: Tensor, student: Tensor) -> Tensor:
    """Σ t log(t / s) of two logit vectors."""
    t, s = teacher.exp() / teacher.exp().sum(), student.exp() / student.exp().sum()
    return sum((t[j] * (t[j] / s[j]).log() for j in range(CLASSES)), torch.tensor(0.0))


def literal(clients: int, s: FedDFSettings) -> tuple[list[list[dict[str, Tensor]]], list[Tensor]]:
    """The pseudo-code: weights that clients send, and the outputs of the distilled model."""
    public, data = world(clients)
    server, x = Person("cnn", "server"), public.images
    total = sum(len(d) for d in data)
    uploads, own = [], []
    for t in range(1, ROUNDS + 1):
        sent, said = [], []
        for k, mine in enumerate(data):
            person = Person("cnn", k, sgd=True)
            person.model.load_state_dict(server.model.state_dict())
            person.learn_labels(mine.images, mine.labels, s.epochs, "train", t)
            sent.append({name: value.clone() for name, value in person.model.state_dict().items()})
            said.append(person.logits(x))
        uploads.append(sent)
        teacher = sum(said, torch.zeros(len(x), CLASSES, dtype=torch.float64)) / clients
        with torch.no_grad():
            for name, value in server.model.state_dict().items():
                value.copy_(sum(w[name] * len(d) / total for w, d in zip(sent, data, strict=True)))
        if clients > 1:
            # each round has an Adam of its own
            server.optimizer = torch.optim.Adam(server.model.parameters(), lr=s.distill_lr, foreach=False)

            def loss(out: Tensor, rows: Tensor, teacher: Tensor = teacher) -> Tensor:
                each = [kl(teacher[i], out[n]) for n, i in enumerate(rows.tolist())]
                return torch.stack(each).mean()

            server.learn(x, loss, s.distill, "server", t)
        own.append(server.logits(x))
    return uploads, own


@pytest.mark.parametrize("settings", [FedDFSettings(), FedDFSettings(epochs=1, distill=2, distill_lr=0.01)])
@pytest.mark.parametrize("clients", [1, 3])
def test_equals_the_pseudo_code(clients: int, settings: FedDFSettings) -> None:
    events, own = simulate(FedDF(settings), clients, ["cnn"])
    uploads, expected_own = literal(clients, settings)
    assert [e.action for e in events] == ["train"] * ROUNDS
    for t, event in enumerate(events):
        assert event.sent.scalars == {"architecture": "cnn", "lr": 1e-3}
        for k in range(clients):
            assert event.received[k].scalars["images"] == len(world(clients)[1][k])
            for name, expected in uploads[t][k].items():
                value = event.received[k].tensors[f"model/{name}"]
                torch.testing.assert_close(value, expected, rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(own[t], expected_own[t], rtol=1e-7, atol=1e-7)


def test_without_distillation_it_is_fedavg() -> None:
    _, own = simulate(FedDF(FedDFSettings(distill=0)), 3, ["cnn"])
    _, averaged = simulate(FedAvg(FedAvgSettings()), 3, ["cnn"])
    assert all(torch.equal(a, b) for a, b in zip(own, averaged, strict=True))


def test_distillation_brings_the_model_toward_the_ensemble() -> None:
    public, _ = world(1)
    teacher = torch.randn(10, CLASSES, generator=torch.Generator().manual_seed(0))
    bank = ModelBank("cnn", (16, 16), CLASSES, ["server"], Optimization(1e-3, 1e-3, 4, "sgd"), 9)
    before = float(soft_divergence(bank.predict(public.images)[0], teacher))
    adam = bank.optimized(Optimization(1e-2, 0, 4))
    adam.fit([public.images], [teacher], soft_divergence, 20, ("server", 1))
    assert float(soft_divergence(bank.predict(public.images)[0], teacher)) < before / 2
    assert isinstance(bank.optimizers[0], torch.optim.SGD)


class Answers:
    """A channel whose clients answer with what is given."""

    def __init__(self, answers: list[Payload]) -> None:
        self.answers, self.clients = answers, len(answers)

    def ask(self, action: str, round: int, message: Payload | None = None) -> dict[int, Payload]:
        return dict(enumerate(self.answers))


def fused(answers: list[Payload]) -> Tensor:
    """The server's logits after a round with these answers."""
    optimization = Optimization(1e-3, 1e-3, 4, "sgd")
    bank = ModelBank("cnn", (SIDE, SIDE), CLASSES, ["server"], optimization, 9)
    server = Server(bank, world(1)[0])
    FedDF(FedDFSettings()).serve(1, Answers(answers), server)  # type: ignore[arg-type]
    return server.logits()


def test_a_client_without_an_image_counts_for_nothing() -> None:
    """Neither in the average nor in the ensemble."""
    made = ModelBank("cnn", (SIDE, SIDE), CLASSES, [0, 1, 2], Optimization(1e-3, 1e-3, 4, "sgd"), 9)

    def answer(k: int, images: int) -> Payload:
        return Payload(
            {f"model/{name}": value for name, value in made.weights(k).items()}, {"images": images}
        )

    two = [answer(0, 6), answer(1, 3)]
    assert torch.equal(fused([*two, answer(2, 0)]), fused(two))
    assert torch.equal(fused([answer(0, 6), answer(2, 0)]), made.predict(world(1)[0].images)[0])
    with pytest.raises(UserError, match="No client that answered in round 1 has an image"):
        fused([answer(0, 0), answer(1, 0)])
