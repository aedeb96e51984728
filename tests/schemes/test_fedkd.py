"""FedKD against a slow transcription of its rounds."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from three_clients import CLASSES, OPTIMIZATION, ROUNDS, SIDE, Person, Tape, simulate, world
from torch import Tensor

from logitleak.errors import UserError
from logitleak.federation.bank import ModelBank
from logitleak.federation.channel import ClientGroup, InProcessChannel, Recorder
from logitleak.federation.rounds import play
from logitleak.models.base import build
from logitleak.schemes.base import ClientContext, Server
from logitleak.schemes.fedkd import FedKD, FedKDSettings
from logitleak.seeds import derive
from logitleak.types import Absence, Payload

Table = dict[str, Tensor]


def kl(teacher: Tensor, student: Tensor) -> Tensor:
    """Σ t log(t / s) of rows of logits, averaged over rows."""
    total = torch.zeros((), dtype=torch.float64)
    for a, b in zip(teacher, student, strict=True):
        t, s = a.exp() / a.exp().sum(), b.exp() / b.exp().sum()
        total = total + sum((t[j] * (t[j] / s[j]).log() for j in range(CLASSES)), torch.tensor(0.0))
    return total / len(teacher)


def cnn_features(model: torch.nn.Module, x: Tensor) -> Tensor:
    """What the last layer of the CNN is given."""
    found: Tensor = model.features(x * 2 - 1)  # type: ignore[operator]
    return found


def pooled(features: Tensor, width: int) -> Tensor:
    """Means of runs of neighbors, written out."""
    n = features.shape[1]
    runs = [(i * n // width, -(-(i + 1) * n // width)) for i in range(width)]
    return torch.stack([features[:, a:b].mean(1) for a, b in runs], 1)


class Pair:
    """One client's mentor and mentee, both CNNs, with plain optimizers."""

    def __init__(self, k: int, s: FedKDSettings) -> None:
        self.name, self.s = k, s
        self.mentee = Person("cnn", k, sgd=True)
        self.mentor = build(
            "cnn", (SIDE, SIDE), CLASSES, derive(9, "init", "cnn", f"{k}/mentor"), torch.float64
        )
        learnt = list(self.mentor.parameters())
        if s.hidden:
            bound = (6 / (2 * s.hidden)) ** 0.5
            w = torch.empty(s.hidden, s.hidden, dtype=torch.float64)
            w.uniform_(-bound, bound, generator=derive(9, "init", "transform", f"{k}/mentor"))
            self.w = w.requires_grad_()
            learnt.append(self.w)
        self.adam = torch.optim.Adam(learnt, lr=s.mentor_lr, weight_decay=1e-3, foreach=False, fused=False)

    def learn(self, x: Tensor, y: Tensor, round: int) -> None:
        generator = derive(9, "order", "train", round, self.name)
        for _ in range(self.s.epochs):
            for rows in torch.randperm(len(x), generator=generator).split(4):
                self.step(x[rows].double() / 255, y[rows])

    def step(self, x: Tensor, y: Tensor) -> None:
        small, large = self.mentee.model(x), self.mentor(x)
        ce_small, ce_large = (-out.log_softmax(1)[range(len(y)), y].mean() for out in (small, large))
        hidden_small = hidden_large = torch.tensor(0.0)
        if self.s.hidden:
            ours, theirs = (
                pooled(cnn_features(m, x), self.s.hidden) for m in (self.mentee.model, self.mentor)
            )
            hidden_small = (ours @ self.w.detach().T - theirs.detach()).square().mean()
            hidden_large = (ours.detach() @ self.w.T - theirs).square().mean()
        loss_small = ce_small + (kl(large.detach(), small) + hidden_small) / (ce_small + ce_large.detach())
        loss_large = ce_large + (kl(small.detach(), large) + hidden_large) / (ce_small.detach() + ce_large)
        self.mentee.optimizer.zero_grad()
        self.adam.zero_grad()
        loss_small.backward()
        loss_large.backward()
        self.mentee.optimizer.step()
        self.adam.step()


def cut(value: Tensor, energy: float) -> Tensor:
    """The best approximation of the smallest rank with that share of the energy, where that is smaller."""
    if value.dim() < 2:
        return value
    matrix = value.numpy().reshape(len(value), -1)
    u, s, v = np.linalg.svd(matrix, full_matrices=False)
    rank = next(r for r in range(1, len(s) + 1) if (s[:r] ** 2).sum() >= energy * (s**2).sum())
    if rank * (sum(matrix.shape) + 1) >= matrix.size:
        return value
    return torch.from_numpy((u[:, :rank] * s[:rank]) @ v[:rank]).reshape(value.shape)


def literal(clients: int, s: FedKDSettings) -> tuple[list[list[Table]], list[Table], list[Tensor]]:
    """The pseudo-code: gradients that arrive, mean gradients that everybody gets, and the shared mentee's outputs."""
    public, data = world(clients)
    server, pairs = Person("cnn", "server"), [Pair(k, s) for k in range(clients)]
    total = sum(len(d) for d in data)
    uploads, told, own = [], [], []
    for t in range(1, ROUNDS + 1):
        energy = s.energy_start + (s.energy_end - s.energy_start) * t / ROUNDS
        shared = {name: value.clone() for name, value in server.model.state_dict().items()}
        arrived = []
        for pair, mine in zip(pairs, data, strict=True):
            pair.mentee.model.load_state_dict(shared)
            pair.learn(mine.images, mine.labels, t)
            new = pair.mentee.model.state_dict()
            arrived.append({name: cut((shared[name] - new[name]) / 1e-3, energy) for name in shared})
        uploads.append(arrived)
        mean = {n: sum(g[n] * len(d) / total for g, d in zip(arrived, data, strict=True)) for n in shared}
        told.append({name: cut(torch.as_tensor(value), energy) for name, value in mean.items()})
        server.model.load_state_dict({name: shared[name] - 1e-3 * told[-1][name] for name in shared})
        own.append(server.logits(public.images))
    return uploads, told, own


def restored(payload: Payload) -> Table:
    """A message's tensors, put together by hand."""
    found: Table = {}
    for key, value in payload.tensors.items():
        name, *rest = key.removeprefix("model/").split("/")
        if not rest:
            found[name] = value
        elif rest[1] == "left":
            values, right = (
                payload.tensors[f"model/{name}/{rest[0]}/{part}"] for part in ("values", "right")
            )
            found[name] = torch.einsum("mr,r,rn->mn", value, values, right.flatten(1)).reshape(
                len(value), *right.shape[1:]
            )
    return found


SETTINGS = [
    FedKDSettings(mentor="cnn", hidden=8),
    FedKDSettings(mentor="cnn", hidden=0, epochs=1),
    FedKDSettings(mentor="cnn", hidden=5, energy_start=0.5, energy_end=0.7, mentor_lr=0.01),
    FedKDSettings(mentor="cnn", hidden=3, energy_start=1, energy_end=1),
]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("clients", [1, 3])
def test_equals_the_pseudo_code(clients: int, settings: FedKDSettings) -> None:
    events, own = simulate(FedKD(settings), clients, ["cnn"])
    uploads, told, expected_own = literal(clients, settings)
    assert [e.action for e in events] == ["train", "update"] * ROUNDS
    for t in range(ROUNDS):
        train, update = events[2 * t], events[2 * t + 1]
        assert set(train.sent.scalars) == {"architecture", "lr", "energy"}
        assert bool(train.sent.tensors) is (t == 0)
        for k in range(clients):
            assert train.received[k].scalars["images"] == len(world(clients)[1][k])
            found = restored(train.received[k])
            for name, expected in uploads[t][k].items():
                torch.testing.assert_close(found[name], expected, rtol=1e-6, atol=1e-7)
        for name, value in restored(update.sent).items():
            torch.testing.assert_close(value, told[t][name], rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(own[t], expected_own[t], rtol=1e-7, atol=1e-7)


def test_the_threshold_grows_to_its_end() -> None:
    scheme = FedKD(FedKDSettings())
    scheme.rounds = 3
    assert [round(scheme.energy(t), 4) for t in (1, 2, 3)] == [0.96, 0.97, 0.98]


@pytest.mark.parametrize(
    "wrong", [{"energy_start": 0.99}, {"energy_end": 1.1}, {"energy_start": 0}, {"hidden": -1}]
)
def test_wrong_settings(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        FedKDSettings(**wrong)  # type: ignore[arg-type]


class Federation:
    """Three clients of which some answers are lost."""

    def __init__(self, lost: set[tuple[int, str, int]]) -> None:
        public, data = world(3)
        self.scheme, self.tape = FedKD(FedKDSettings(mentor="mlp", hidden=4)), Tape()
        members = [0, 1, 2]
        self.bank = ModelBank("cnn", (SIDE, SIDE), CLASSES, members, OPTIMIZATION, 9)
        self.server = Server(ModelBank("cnn", (SIDE, SIDE), CLASSES, ["server"], OPTIMIZATION, 9), public)
        channel = InProcessChannel(
            self.scheme, [ClientGroup(self.bank, members, data)], ClientContext(public)
        )
        ask = channel.ask

        def lossy(action: str, round: int, message: Payload | None = None) -> dict[int, Payload | Absence]:
            answers = ask(action, round, message)
            return {k: Absence("lost") if (round, action, k) in lost else a for k, a in answers.items()}

        channel.ask = lossy  # type: ignore[method-assign, assignment]
        form = partial(self.scheme.form, public=len(public), num_classes=CLASSES)
        recorder = Recorder(channel, self.tape, form)
        list(play(self.scheme, recorder, self.server, self.tape, 3))

    def whole(self) -> list[bool]:
        """In which rounds the mentee itself was sent."""
        return [bool(event.sent.tensors) for event in self.tape.events if event.action == "train"]


@pytest.mark.parametrize(
    ("lost", "whole"),
    [
        (set(), [True, False, False]),
        ({(1, "update", 1)}, [True, True, False]),
        ({(1, "train", 0)}, [True, True, False]),
        ({(2, "train", 0)}, [True, False, True]),
    ],
)
def test_who_missed_something_gets_the_mentee_again(
    lost: set[tuple[int, str, int]], whole: list[bool]
) -> None:
    federation = Federation(lost)
    assert federation.whole() == whole
    ours = federation.server.bank.weights(0)
    for k in range(3):
        assert all(torch.equal(value, ours[name]) for name, value in federation.bank.weights(k).items())


def test_compression_saves_bytes_and_the_mentor_stays() -> None:
    """The sizes that are recorded are those of what travelled."""

    def received(energy: float) -> int:
        settings = FedKDSettings(mentor="resnet", energy_start=energy, energy_end=energy)
        events, _ = simulate(FedKD(settings), 3, ["cnn"])
        return sum(v.nbytes for e in events for p in e.received.values() for v in p.tensors.values())

    assert received(0.95) < received(1.0) / 2
    mentee = sum(v.nbytes for v in Federation(set()).server.bank.weights(0).values())
    assert received(1.0) == 2 * mentee * 3 * ROUNDS  # in float64


def test_a_client_without_the_mentee_says_so() -> None:
    public, data = world(1)
    bank = ModelBank("cnn", (SIDE, SIDE), CLASSES, [0], OPTIMIZATION, 9)
    with pytest.raises(UserError, match="not been sent the mentee"):
        FedKD(FedKDSettings()).train(bank, data, Payload({}, {"energy": 0.95}), ClientContext(public, 2, [0]))


def test_a_mentor_is_part_of_its_clients_state() -> None:
    bank = Federation(set()).bank
    table = {name: value.clone() for name, value in bank.state().items()}
    assert any(name.startswith("beside/mentor/2/") for name in table)
    again = ModelBank("cnn", (SIDE, SIDE), CLASSES, [0, 1, 2], OPTIMIZATION, 9)
    again.load_state(table)
    assert again.has_beside("mentor")
    assert all(
        torch.equal(value, table[name]) for name, value in again.state().items()
    )  # before anybody asks
    mentors = FedKD(FedKDSettings(mentor="mlp", hidden=4))
    public, data = world(3)
    message, context = Payload({}, {"energy": 0.95}), ClientContext(public, 4, [0, 1, 2])
    straight = mentors.train(bank, data, message, context)
    resumed = mentors.train(again, data, message, context)
    for a, b in zip(straight, resumed, strict=True):
        assert all(torch.equal(value, b.tensors[name]) for name, value in a.tensors.items())


def test_a_part_of_a_bank_shares_the_companions() -> None:
    bank = Federation(set()).bank
    part, made = bank.part([2]), bank.beside("mentor", lambda member: pytest.fail("it is there"))
    assert part.beside("mentor", lambda member: pytest.fail("it is there"))[0] is made[2]
    assert part.has_beside("mentor")
    assert not part.has_beside("tutor")
