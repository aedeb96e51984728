"""FedMD against a slow transcription of its rounds: three clients, separate models, plain loops."""

from collections.abc import Mapping

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from logitleak import registry
from logitleak.bank import ModelBank, Optimization
from logitleak.channel import ClientGroup, InProcessChannel, Recorder
from logitleak.models.base import build
from logitleak.schemes.base import ClientContext, Server
from logitleak.schemes.fedmd import FedMD, FedMDSettings
from logitleak.seeds import derive
from logitleak.truth import ClientData
from logitleak.types import Event, PublicData

OPTIMIZATION = Optimization(lr=1e-3, weight_decay=1e-3, batch=4)
CLASSES, SIDE, ROUNDS = 5, 16, 2


def images(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)


def world(clients: int) -> tuple[PublicData, list[ClientData]]:
    labels = torch.arange(10) % CLASSES
    public = PublicData(images(10, 0), labels, torch.arange(10) < 5)
    sizes = [6, 3, 9][:clients]
    return public, [
        ClientData(images(n, k + 1), torch.full((n,), k, dtype=torch.int64)) for k, n in enumerate(sizes)
    ]


class Tape:
    """Keeps events in memory."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def write(self, event: Event) -> None:
        self.events.append(event)


def simulate(clients: int, models: list[str], settings: FedMDSettings) -> tuple[list[Event], list[Tensor]]:
    """Through the real channel, in float64; one bank for each architecture."""
    public, data = world(clients)
    scheme, tape = FedMD(settings), Tape()

    def bank(model: str, members: list[int] | list[str]) -> ModelBank:
        return ModelBank(model, (SIDE, SIDE), CLASSES, members, OPTIMIZATION, 9, dtype=torch.float64)

    by_model: dict[str, list[int]] = {}
    for k in range(clients):
        by_model.setdefault(models[k % len(models)], []).append(k)
    groups = [ClientGroup(bank(m, ks), ks, [data[k] for k in ks]) for m, ks in by_model.items()]
    channel = Recorder(InProcessChannel(scheme, groups, ClientContext(public)), tape)
    server = Server(bank("cnn", ["server"]), public)
    scheme.begin(channel, server)
    own = []
    for round in range(1, ROUNDS + 1):
        scheme.serve(round, channel, server)
        own.append(server.logits())
    return tape.events, own


def literal(clients: int, models: list[str], s: FedMDSettings) -> tuple[list[list[Tensor]], list[Tensor]]:
    """The pseudo-code, client after client."""
    public, data = world(clients)
    assert public.labels is not None

    def start(model: str, name: str | int) -> tuple[nn.Module, torch.optim.Adam]:
        made = build(model, (SIDE, SIDE), CLASSES, derive(9, "init", model, name), torch.float64)
        return made, torch.optim.Adam(
            made.parameters(), lr=1e-3, weight_decay=1e-3, foreach=False, fused=False
        )

    def learn(
        who: tuple[nn.Module, torch.optim.Adam],
        x: Tensor,
        y: Tensor,
        l1: bool,
        epochs: int,
        key: tuple[str | int, ...],
    ) -> None:
        model, adam = who
        generator = derive(9, "order", *key)
        for _ in range(epochs):
            for rows in torch.randperm(len(x), generator=generator).split(4):
                logits = model(x[rows].double() / 255)
                loss = (logits - y[rows]).abs().mean() if l1 else F.nll_loss(logits.log_softmax(1), y[rows])
                adam.zero_grad()
                loss.backward()
                adam.step()

    people = [start(models[k % len(models)], k) for k in range(clients)]
    server = start("cnn", "server")
    for k, person in enumerate(people):
        learn(person, public.images, public.labels, False, s.transfer_public, ("transfer-public", 0, k))
        learn(person, data[k].images, data[k].labels, False, s.transfer_private, ("transfer-private", 0, k))
    uploads, own = [], []
    for t in range(1, ROUNDS + 1):
        with torch.no_grad():
            sent = [model(public.images.double() / 255) for model, _ in people]
        uploads.append(sent)
        consensus = sum(sent) / clients
        for k, person in enumerate(people):
            if clients > 1:
                learn(person, public.images, consensus, True, s.digest, ("digest", t, k))
            learn(person, data[k].images, data[k].labels, False, s.revisit, ("revisit", t, k))
        learn(server, public.images, public.labels, False, s.server, ("server", t, "server"))
        with torch.no_grad():
            own.append(server[0](public.images.double() / 255))
    return uploads, own


@pytest.mark.parametrize(("clients", "models"), [(1, ["cnn"]), (3, ["cnn"]), (3, ["cnn", "mlp"])])
def test_equals_the_pseudo_code(clients: int, models: list[str]) -> None:
    settings = FedMDSettings(transfer_public=2, transfer_private=2, digest=2, revisit=2, server=2)
    events, own = simulate(clients, models, settings)
    uploads, expected_own = literal(clients, models, settings)
    sent = {e.round: e.received for e in events if e.action == "upload"}
    for t in range(1, ROUNDS + 1):
        for k in range(clients):
            torch.testing.assert_close(sent[t][k].tensors["logits"], uploads[t - 1][k], rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(own[t - 1], expected_own[t - 1], rtol=1e-8, atol=1e-8)


def test_what_travels() -> None:
    events, _ = simulate(3, ["cnn"], FedMDSettings(transfer_public=1, transfer_private=1))
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
    events, _ = simulate(1, ["cnn"], FedMDSettings())
    assert all(not e.sent.tensors for e in events)


@pytest.mark.parametrize("name", registry.names("scheme"))
def test_contract(name: str) -> None:
    """Every scheme: its upload is one of its actions, and planned epochs are what the listener hears."""
    scheme_class = registry.load("scheme", name)
    scheme = scheme_class(scheme_class.Settings())
    assert scheme.uploads[0] in scheme.actions
    assert scheme.upload_kind in ("logits", "probabilities")
    for clients in (1, 3):
        public, data = world(clients)
        heard: list[object] = []

        def listen(*event: object, heard: list[object] = heard) -> None:
            heard.append(event)

        members = list(range(clients))
        bank = ModelBank("cnn", (SIDE, SIDE), CLASSES, members, OPTIMIZATION, 0)
        context = ClientContext(public, listener=listen)
        channel = InProcessChannel(scheme, [ClientGroup(bank, members, data)], context)
        server = Server(ModelBank("cnn", (SIDE, SIDE), CLASSES, ["server"], OPTIMIZATION, 0), public, listen)
        scheme.begin(channel, server)
        for round in range(1, ROUNDS + 1):
            scheme.serve(round, channel, server)
        assert len(heard) == scheme.planned_epochs(clients, ROUNDS)
