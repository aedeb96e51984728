"""FedAvg against a slow transcription of its rounds."""

import pytest
import torch
from three_clients import ROUNDS, Person, simulate, world
from torch import Tensor

from logitleak.schemes.fedavg import FedAvg, FedAvgSettings


def literal(clients: int, epochs: int) -> tuple[list[list[dict[str, Tensor]]], list[Tensor]]:
    """The pseudo-code: weights that clients send, and the outputs of the averaged model."""
    public, data = world(clients)
    server = Person("cnn", "server")
    total = sum(len(d) for d in data)
    uploads, own = [], []
    for t in range(1, ROUNDS + 1):
        sent = []
        for k, mine in enumerate(data):
            person = Person("cnn", k, sgd=True)
            person.model.load_state_dict(server.model.state_dict())
            person.learn_labels(mine.images, mine.labels, epochs, "train", t)
            sent.append({name: value.clone() for name, value in person.model.state_dict().items()})
        uploads.append(sent)
        with torch.no_grad():
            for name, value in server.model.state_dict().items():
                value.copy_(sum(w[name] * len(d) / total for w, d in zip(sent, data, strict=True)))
        own.append(server.logits(public.images))
    return uploads, own


@pytest.mark.parametrize("send", ["weights", "gradients"])
@pytest.mark.parametrize("clients", [1, 3])
def test_equals_the_pseudo_code(clients: int, send: str) -> None:
    settings = FedAvgSettings(epochs=2, send=send)  # type: ignore[arg-type]
    events, own = simulate(FedAvg(settings), clients, ["cnn"])
    uploads, expected_own = literal(clients, 2)
    assert [e.action for e in events] == ["train"] * ROUNDS
    for t, event in enumerate(events):
        for k in range(clients):
            assert event.received[k].scalars["images"] == len(world(clients)[1][k])
            for name, expected in uploads[t][k].items():
                value = event.received[k].tensors[f"model/{name}"]
                if send == "gradients":
                    value = event.sent.tensors[f"model/{name}"] - 1e-3 * value
                torch.testing.assert_close(value, expected, rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(own[t], expected_own[t], rtol=1e-8, atol=1e-8)


def test_one_step_sends_the_gradient() -> None:
    """A single batch and epoch without weight decay would be ∇ itself; with it, ∇ + decay · weights."""
    events, _ = simulate(FedAvg(FedAvgSettings(epochs=1, send="gradients")), 2, ["cnn"])
    _, data = world(2)
    person = Person("cnn", "server")
    loss = torch.nn.functional.cross_entropy(person.model(data[1].images.double() / 255), data[1].labels)
    gradients = torch.autograd.grad(loss, list(person.model.parameters()))
    for (name, weight), gradient in zip(person.model.named_parameters(), gradients, strict=True):
        sent = events[0].received[1].tensors[f"model/{name}"]  # client 1 has three images: one batch
        torch.testing.assert_close(sent, gradient + 1e-3 * weight.detach(), rtol=1e-6, atol=1e-9)
