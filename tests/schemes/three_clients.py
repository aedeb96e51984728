"""A small federation in float64 for tests of schemes: three clients, ten public images, two rounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from logitleak.federation.bank import ModelBank, Optimization
from logitleak.federation.channel import ClientGroup, InProcessChannel, Recorder
from logitleak.federation.draws import DrawnTransport
from logitleak.federation.rounds import play
from logitleak.models.base import build
from logitleak.schemes.base import ClientContext, Scheme, Server
from logitleak.seeds import derive
from logitleak.types import ClientData, Event, PublicData

OPTIMIZATION = Optimization(lr=1e-3, weight_decay=1e-3, batch=4)
CLASSES, SIDE, ROUNDS = 5, 16, 2


def images(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)


def world(clients: int) -> tuple[PublicData, list[ClientData]]:
    labels = torch.arange(10) % CLASSES
    public = PublicData(images(10, 0), labels, labels > 2)  # 0, 1 and 2 are private
    sizes = [6, 3, 9][:clients]
    return public, [
        ClientData(images(n, k + 1), torch.full((n,), k, dtype=torch.int64)) for k, n in enumerate(sizes)
    ]


LossOfRows = Callable[[Tensor, Tensor], Tensor]


class Tape:
    """Keeps events and the server's own logits in memory."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.own: list[Tensor] = []
        self.held: list[dict[str, Tensor]] = []

    def write(self, event: Event) -> None:
        self.events.append(event)

    def write_own(self, round: int, logits: Tensor) -> None:
        self.own.append(logits)

    def write_held(self, round: int, tensors: Mapping[str, Tensor]) -> None:
        self.held.append(dict(tensors))

    def commit(self, round: int) -> None:
        assert len(self.own) == round  # a round is whole once the server's own outputs are there


def simulate(
    scheme: Scheme, clients: int, models: list[str], drawn: int | None = None, stacked: bool = False,
    rounds: int = ROUNDS,
) -> tuple[list[Event], list[Tensor]]:  # fmt: skip
    """Through the real channel, in float64; one bank for each architecture. Of the clients so many are drawn for each
    round, by default all.

    Returns every exchange, and the server's own logits after each round.
    """
    public, data = world(clients)
    optimization = replace(OPTIMIZATION, kind=scheme.optimizer)
    tape = Tape()

    def bank(model: str, members: list[int] | list[str]) -> ModelBank:
        return ModelBank(
            model, (SIDE, SIDE), CLASSES, members, optimization, 9, dtype=torch.float64, stacked=stacked
        )

    by_model: dict[str, list[int]] = {}
    for k in range(clients):
        by_model.setdefault(models[k % len(models)], []).append(k)
    groups = [ClientGroup(bank(m, ks), ks, [data[k] for k in ks]) for m, ks in by_model.items()]
    form = partial(scheme.form, public=len(public), num_classes=CLASSES, dtype=torch.float64)
    everybody = InProcessChannel(scheme, groups, ClientContext(public))
    transport = everybody if drawn is None else DrawnTransport(everybody, drawn, 9)
    channel = Recorder(transport, tape, form, clients)
    server = Server(bank("cnn", ["server"]), public)
    assert list(play(scheme, channel, server, tape, rounds)) == list(range(rounds + 1))
    return tape.events, tape.own


def assert_as_written_out(
    found: tuple[list[Event], list[Tensor]],
    expected: tuple[list[list[Tensor]], list[Tensor], list[Tensor]],
    clients: int,
    sent: tuple[str, str],
) -> None:
    """A scheme whose clients upload probabilities does what a plain transcription of it does, round by round.

    Args:
        found: what `simulate` gives.
        expected: uploads by round and client, what the server sent out by round, and its own logits by round.
        clients: how many there are; one alone is sent nothing.
        sent: action and tensor that carry what the server sends out.
    """
    (events, own), (uploads, told, expected_own) = found, expected
    for t in range(ROUNDS):
        by_action = {e.action: e for e in events if e.round == t + 1}
        for k in range(clients):
            probabilities = by_action["upload"].received[k].tensors["probabilities"]
            torch.testing.assert_close(probabilities, uploads[t][k], rtol=1e-8, atol=1e-8)
        if clients > 1:
            action, tensor = sent
            torch.testing.assert_close(by_action[action].sent.tensors[tensor], told[t], rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(own[t], expected_own[t], rtol=1e-8, atol=1e-8)


class Person:
    """One model with a plain Adam (or gradient descent) of its own, trained by a plain loop."""

    def __init__(self, model: str, name: str | int, sgd: bool = False) -> None:
        self.name = name
        self.model: nn.Module = build(
            model, (SIDE, SIDE), CLASSES, derive(9, "init", model, name), torch.float64
        )
        kind = torch.optim.SGD if sgd else torch.optim.Adam
        self.optimizer = kind(self.model.parameters(), lr=1e-3, weight_decay=1e-3, foreach=False, fused=False)

    def learn(self, x: Tensor, loss_of: LossOfRows, epochs: int, phase: str, round: int) -> None:
        """Mini-batches of four; ``loss_of`` takes logits and the rows they belong to."""
        generator = derive(9, "order", phase, round, self.name)
        for _ in range(epochs):
            for rows in torch.randperm(len(x), generator=generator).split(4):
                self.optimizer.zero_grad()
                loss_of(self.model(x[rows].double() / 255), rows).backward()
                self.optimizer.step()

    def learn_labels(self, x: Tensor, labels: Tensor, epochs: int, phase: str, round: int) -> None:
        """Cross entropy, written out."""
        self.learn(x, lambda out, rows: F.nll_loss(out.log_softmax(1), labels[rows]), epochs, phase, round)

    @torch.no_grad()
    def logits(self, x: Tensor) -> Tensor:
        """float64 [n, J]."""
        out: Tensor = self.model(x.double() / 255)
        return out
