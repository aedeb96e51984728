"""What every registered scheme must do, whatever it exchanges."""

import pytest
import torch
from three_clients import CLASSES, OPTIMIZATION, ROUNDS, SIDE, Tape, simulate, world

from logitleak import registry
from logitleak.federation.bank import ModelBank
from logitleak.federation.channel import ClientGroup, InProcessChannel
from logitleak.federation.rounds import play
from logitleak.files import low_rank
from logitleak.schemes.base import ClientContext, Scheme, Server
from logitleak.types import MODEL_KINDS
from quick_schemes import quick


def made(name: str) -> Scheme:
    scheme_class = registry.load("scheme", name)
    scheme: Scheme = scheme_class(scheme_class.Settings(**quick(name)))
    return scheme


@pytest.mark.parametrize("clients", [1, 3])
@pytest.mark.parametrize("name", registry.names("scheme"))
class TestEveryScheme:
    def test_planned_epochs_are_what_the_listener_hears(self, name: str, clients: int) -> None:
        scheme = made(name)
        public, data = world(clients)
        heard: list[object] = []

        def listen(*event: object) -> None:
            heard.append(event)

        members = list(range(clients))
        bank = ModelBank("cnn", (SIDE, SIDE), CLASSES, members, OPTIMIZATION, 0)
        context = ClientContext(public, listener=listen)
        channel = InProcessChannel(scheme, [ClientGroup(bank, members, data)], context)
        server = Server(ModelBank("cnn", (SIDE, SIDE), CLASSES, ["server"], OPTIMIZATION, 0), public, listen)
        list(play(scheme, channel, server, Tape(), ROUNDS))
        assert len(heard) == scheme.planned_epochs(clients, ROUNDS).total

    def test_every_round_carries_the_declared_upload(self, name: str, clients: int) -> None:
        scheme = made(name)
        action, tensor = scheme.uploads
        assert action in scheme.actions
        events, own = simulate(scheme, clients, ["cnn"])
        found = {event.round: event for event in events if event.action == action}
        assert sorted(found) == list(range(1, ROUNDS + 1))
        parameters = {key for key in found[1].sent.tensors if key.startswith(f"{tensor}/")}
        for event in found.values():
            assert sorted(event.received) == list(range(clients))
            for payload in event.received.values():
                if scheme.upload_kind in MODEL_KINDS:
                    assert all(key.startswith(f"{tensor}/") for key in payload.tensors)
                    keys = (key.removeprefix(f"{tensor}/") for key in payload.tensors)
                    assert {f"{tensor}/{low_rank.split(key)[0]}" for key in keys} == parameters
                else:
                    rows = event.sent.tensors.get("rows", torch.arange(10))
                    assert payload.tensors[tensor].shape == (len(rows), CLASSES)
                if scheme.upload_kind == "probabilities":
                    sums = payload.tensors[tensor].sum(1)
                    torch.testing.assert_close(sums, torch.ones_like(sums))
        assert all(logits.shape == (10, CLASSES) for logits in own)

    def test_private_data_of_others_stay_away(self, name: str, clients: int) -> None:
        """Nothing that travels has the shape of images, and only declared uploads travel up."""
        scheme = made(name)
        events, _ = simulate(scheme, clients, ["cnn"])
        for event in events:
            up = [key for payload in event.received.values() for key in payload.tensors]
            assert event.action == scheme.uploads[0] or not up

    def test_a_resumed_scheme_goes_on_alike(self, name: str, clients: int) -> None:
        """Rounds depend on models and on `state`, on nothing that is lost when a run is killed."""
        straight = self._rounds(made(name), clients, restart=False)
        resumed = self._rounds(made(name), clients, restart=True)
        assert torch.equal(straight, resumed)

    def _rounds(self, scheme: Scheme, clients: int, restart: bool) -> torch.Tensor:
        public, data = world(clients)
        members = list(range(clients))
        bank = ModelBank("cnn", (SIDE, SIDE), CLASSES, members, OPTIMIZATION, 0)
        server = Server(ModelBank("cnn", (SIDE, SIDE), CLASSES, ["server"], OPTIMIZATION, 0), public)
        tape, done = Tape(), -1
        while done < ROUNDS:
            channel = InProcessChannel(scheme, [ClientGroup(bank, members, data)], ClientContext(public))
            rounds = play(scheme, channel, server, tape, ROUNDS, done)
            done = next(rounds) if restart else list(rounds)[-1]
            kept = {key: value.clone() for key, value in scheme.state().items()}
            scheme = made_like(scheme)
            scheme.load_state(kept)
        return torch.cat([bank.predict(public.images).flatten(), server.logits().flatten()])


def made_like(scheme: Scheme) -> Scheme:
    """A fresh instance with the same settings."""
    return type(scheme)(scheme.settings)
