"""A participant that attacks: FedAvg around it against a transcription, what it finds, and what it injects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from three_clients import CLASSES, ROUNDS, SIDE, Person, simulate, world
from torch import Tensor, nn

from logitleak.errors import UserError
from logitleak.federation.bank import ModelBank
from logitleak.machine.forecast import Scale, weights
from logitleak.schemes.fedavg import FedAvg
from logitleak.schemes.fedavg_gan import FedAvgGAN
from logitleak.schemes.participant import FedAvgGANSettings, Participant
from logitleak.types import PublicData

CPU = torch.device("cpu")


def settings(**changes: Any) -> FedAvgGANSettings:
    small = {
        "gan_steps": 3,
        "gan_batch": 4,
        "gan_filters": 4,
        "gan_latent": 6,
        "held": 3,
        "injected": 5,
        "samples": 2,
    }
    return FedAvgGANSettings(**small | changes)  # type: ignore[arg-type]


SMALL = settings()


def literal(clients: int, s: FedAvgGANSettings) -> tuple[list[list[dict[str, Tensor]]], list[Tensor]]:
    """FedAvg with one more participant: the weights that clients send, and the outputs of the averaged model."""
    public, data = world(clients)
    server, attacker = Person("cnn", "server"), Participant(s, public, 9, CPU)
    uploads, own = [], []
    for t in range(1, ROUNDS + 1):
        if t > s.warm_up:
            model = Person("cnn", "server").model
            model.load_state_dict(server.model.state_dict())
            attacker.learn(model, t)
        everybody = [*data, attacker.data(t)]
        total, sent = sum(len(d) for d in everybody), []
        for k, mine in enumerate(everybody):
            person = Person("cnn", k if k < clients else "participant", sgd=True)
            person.model.load_state_dict(server.model.state_dict())
            person.learn_labels(mine.images, mine.labels, s.epochs, "train", t)
            sent.append({name: value.clone() for name, value in person.model.state_dict().items()})
        uploads.append(sent[:clients])
        with torch.no_grad():
            for name, value in server.model.state_dict().items():
                value.copy_(sum(w[name] * len(d) / total for w, d in zip(sent, everybody, strict=True)))
        own.append(server.logits(public.images))
    return uploads, own


@pytest.mark.parametrize("warm_up", [0, 1, ROUNDS])
@pytest.mark.parametrize("clients", [1, 3])
def test_equals_the_pseudo_code(clients: int, warm_up: int) -> None:
    s = settings(warm_up=warm_up)
    events, own = simulate(FedAvgGAN(s), clients, ["cnn"])
    uploads, expected = literal(clients, s)
    assert [e.action for e in events] == ["train"] * ROUNDS
    for t, event in enumerate(events):
        assert sorted(event.received) == list(range(clients))  # the participant answers nobody
        for k in range(clients):
            for name, value in uploads[t][k].items():
                torch.testing.assert_close(
                    event.received[k].tensors[f"model/{name}"], value, rtol=1e-8, atol=1e-8
                )
        torch.testing.assert_close(own[t], expected[t], rtol=1e-8, atol=1e-8)


def test_made_images_are_trained_on_under_a_wrong_label(monkeypatch: pytest.MonkeyPatch) -> None:
    """A spy sees every training of the participant: in round 1 its own images, then also what its generator made."""
    seen: list[tuple[Tensor, Tensor]] = []
    fit = ModelBank.fit

    def spy(self: ModelBank, images: Sequence[Tensor], targets: Sequence[Tensor], *rest: Any) -> list[float]:
        if self.members == ["participant"]:
            seen.append((images[0], targets[0]))
        return fit(self, images, targets, *rest)

    monkeypatch.setattr(ModelBank, "fit", spy)
    simulate(FedAvgGAN(settings()), 3, ["cnn"])
    public, _ = world(3)
    assert public.labels is not None
    (first, own), (second, labels) = seen
    assert (len(first), len(second)) == (3, 8)
    assert torch.equal(second[:3], first)
    assert torch.equal(labels[:3], own)
    assert {3, 4} >= set(own.tolist())  # who is no target, and shown with these labels in public
    for image, label in zip(first, own, strict=True):
        rows = torch.nonzero((public.images == image).flatten(1).all(1)).flatten()
        assert public.labels[rows].tolist() == [int(label)]
    assert labels[3:].tolist() == [3] * 5
    assert not any(bool((public.images == image).flatten(1).all(1).any()) for image in second[3:])


def test_without_injection_it_is_a_curious_one() -> None:
    participant = Participant(settings(injected=0), world(3)[0], 0, CPU)
    assert len(participant.data(2)) == len(participant.data(1)) == 3


def test_what_is_kept_on_record() -> None:
    scheme = FedAvgGAN(settings())
    simulate(scheme, 3, ["cnn"])
    held = scheme.held()
    assert held["labels"].tolist() == [0, 1, 2]
    assert held["images"].shape == (3, 2, 3, SIDE, SIDE)
    assert held["images"].dtype == torch.uint8
    assert FedAvgGAN(settings()).held() == {}
    warm = FedAvgGAN(settings(warm_up=ROUNDS))
    simulate(warm, 3, ["cnn"])
    assert warm.held() == {}


def test_private_images_do_not_reach_it_but_by_the_model() -> None:
    """It is made of the public set, and asked for by the server alone."""
    public, _ = world(3)
    a, b = (Participant(SMALL, public, 0, CPU) for _ in range(2))
    model = Person("mlp", "server").model
    a.learn(model, 1)
    b.learn(model, 1)
    assert torch.equal(a.shown(2)["images"], b.shown(2)["images"])
    c = Participant(SMALL, public, 0, CPU)
    c.load_state({name: value.clone() for name, value in a.state().items()})
    a.learn(model, 2)
    c.learn(model, 2)
    assert torch.equal(a.shown(2)["images"], c.shown(2)["images"])
    assert not torch.equal(a.shown(2)["images"], b.shown(2)["images"])


def without_targets() -> PublicData:
    return replace(world(3)[0], sensitive=torch.ones(10, dtype=torch.bool))


def without_others() -> PublicData:
    return replace(world(3)[0], sensitive=torch.zeros(10, dtype=torch.bool))


@pytest.mark.parametrize("public", [without_targets(), without_others()])
def test_nobody_to_attack_or_to_hide_behind(public: PublicData) -> None:
    with pytest.raises(UserError, match="people who are none") as caught:
        Participant(SMALL, public, 0, CPU)
    assert "\n" not in str(caught.value)


class Stripes(nn.Module):
    """A linear discriminator: each class is a pattern, and its logit how well an image fits it."""

    def __init__(self, patterns: Tensor) -> None:
        super().__init__()
        self.patterns = nn.Parameter(patterns)

    def forward(self, images: Tensor) -> Tensor:
        return torch.einsum("nchw,jchw->nj", images - 0.5, self.patterns)


def fit_of(images: Tensor, patterns: Tensor) -> Tensor:
    """Cosine of mean images [T, 3, H, W] and patterns, [T]."""
    flat = images.flatten(1) - images.flatten(1).mean(1, keepdim=True)
    wanted = patterns.flatten(1) - patterns.flatten(1).mean(1, keepdim=True)
    return torch.cosine_similarity(flat, wanted)


@pytest.mark.parametrize("taught", [True, False])
def test_the_generator_finds_what_is_planted_and_nothing_where_nothing_is(taught: bool) -> None:
    """Bars at a place of each class; in the control the discriminator knows no target, as where targets are out."""
    patterns = torch.zeros(CLASSES, 3, SIDE, SIDE)
    for j in range(CLASSES):
        patterns[j, :, :, 3 * j : 3 * j + 3] = 1.0
    planted = settings(gan_steps=200, gan_batch=12, gan_lr=2e-3, gan_filters=8, samples=8)
    participant = Participant(planted, world(3)[0], 0, CPU)
    model = Stripes(0.1 * patterns if taught else torch.zeros_like(patterns))
    participant.learn(model, 1)
    held = participant.shown(2)
    made = held["images"].float().div(255).mean(1)
    own = fit_of(made, patterns[held["labels"]])
    other = fit_of(made, patterns[held["labels"].roll(1)])
    if taught:
        assert float(own.min()) > 0.5
        assert float((own - other).min()) > 0.5
    else:
        assert float((own - other).abs().max()) < 0.2


def test_the_start_depends_on_its_seed_alone() -> None:
    torch.manual_seed(0)
    a = Participant(SMALL, world(3)[0], 0, CPU).shown(2)["images"]
    b = Participant(SMALL, world(3)[0], 0, CPU).shown(2)["images"]
    c = Participant(SMALL, world(3)[0], 1, CPU).shown(2)["images"]
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_forecasts_count_what_the_participant_does() -> None:
    """Images that it learns from, and steps of its generator, are those that it shows and makes."""
    scheme, (public, _) = FedAvgGAN(settings(epochs=2)), world(2)
    attacker = Participant(scheme.settings, public, 9, CPU)
    scale = Scale(
        public=len(public), sensitive=int(public.sensitive.sum()), side=SIDE, classes=CLASSES, clients=2,
        rounds=ROUNDS, targets=len(attacker.targets), people=CLASSES, model=1000,
    )  # fmt: skip
    images, (step,) = scheme.outside_work(scale, lambda: Person("cnn", "server").model, CPU)
    rounds = range(1, ROUNDS + 1)
    assert images == sum(2 * len(attacker.data(t)) for t in rounds)
    assert step.times == 3 * sum(attacker.attacks(t) for t in rounds)
    for _ in range(2):
        step.once()
    model = Person("cnn", "server").model
    assert scheme.outside_memory(scale, model) > 3 * weights(attacker.generator) + 2 * weights(model)
    nobody: Any = FedAvg(FedAvg.Settings())
    assert nobody.outside_work(scale, lambda: model, CPU) == (0, ())
    assert nobody.outside_memory(scale, model) == 0
