"""FedMD against a slow transcription of its rounds: three clients, separate models, plain loops."""

from collections.abc import Mapping

import pytest
import torch
from three_clients import ROUNDS, Person, simulate, world
from torch import Tensor

from logitleak.schemes.fedmd import FedMD, FedMDSettings


def literal(clients: int, models: list[str], s: FedMDSettings) -> tuple[list[list[Tensor]], list[Tensor]]:
    """The pseudo-code, client after client."""
    public, data = world(clients)
    x, y = public.images, public.labelled().labels
    people = [Person(models[k % len(models)], k) for k in range(clients)]
    server = Person("cnn", "server")
    for person, own in zip(people, data, strict=True):
        person.learn_labels(x, y, s.transfer_public, "transfer-public", 0)
        person.learn_labels(own.images, own.labels, s.transfer_private, "transfer-private", 0)
    uploads, server_logits = [], []
    for t in range(1, ROUNDS + 1):
        sent = [person.logits(x) for person in people]
        uploads.append(sent)
        consensus = torch.stack(sent).sum(0) / clients
        for person, own in zip(people, data, strict=True):
            if clients > 1:
                person.learn(
                    x, lambda out, rows, c=consensus: (out - c[rows]).abs().mean(), s.digest, "digest", t
                )
            person.learn_labels(own.images, own.labels, s.revisit, "revisit", t)
        server.learn_labels(x, y, s.server, "server", t)
        server_logits.append(server.logits(x))
    return uploads, server_logits


@pytest.mark.parametrize(("clients", "models"), [(1, ["cnn"]), (3, ["cnn"]), (3, ["cnn", "mlp"])])
def test_equals_the_pseudo_code(clients: int, models: list[str]) -> None:
    settings = FedMDSettings(transfer_public=2, transfer_private=2, digest=2, revisit=2, server=2)
    events, own = simulate(FedMD(settings), clients, models)
    uploads, expected_own = literal(clients, models, settings)
    sent = {e.round: e.received for e in events if e.action == "upload"}
    for t in range(1, ROUNDS + 1):
        for k in range(clients):
            torch.testing.assert_close(sent[t][k].tensors["logits"], uploads[t - 1][k], rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(own[t - 1], expected_own[t - 1], rtol=1e-8, atol=1e-8)


def test_what_travels() -> None:
    events, _ = simulate(FedMD(FedMDSettings(transfer_public=1, transfer_private=1)), 3, ["cnn"])
    assert [(e.round, e.action) for e in events] == [
        (0, "transfer"),
        *((1, action) for action in ("upload", "digest", "revisit")),
        *((2, action) for action in ("upload", "digest", "revisit")),
    ]
    for event in events:
        up: Mapping[str, Tensor] = event.received[0].tensors
        assert set(up) == ({"logits"} if event.action == "upload" else set())
        assert set(event.sent.tensors) == ({"consensus"} if event.action == "digest" else set())


def test_one_client_is_sent_nothing() -> None:
    events, _ = simulate(FedMD(FedMDSettings()), 1, ["cnn"])
    assert all(not e.sent.tensors for e in events)
