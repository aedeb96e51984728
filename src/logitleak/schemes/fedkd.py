"""FedKD: communication-efficient federated learning via knowledge distillation (Wu, Wu, Lyu, Huang and Xie, Nature
Communications, 2022)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from pydantic import Field, NonNegativeInt, PositiveFloat, model_validator
from torch import Tensor

from logitleak.errors import UserError
from logitleak.federation.answers import Form, Shape
from logitleak.federation.bank import ModelBank
from logitleak.files import low_rank
from logitleak.schemes.base import Action, Channel, ClientContext, Epochs, Server
from logitleak.schemes.mutual import MENTOR, mentors_of, teach
from logitleak.schemes.shared_model import SharedModel, SharedModelSettings, average, named, shares_of
from logitleak.types import ClientData, Payload, Scalar


class FedKDSettings(SharedModelSettings):
    """How mentor and mentee learn, and how much of what travels is kept.

    Attributes:
        mentor: the architecture of every client's mentor: a registered name, or ``module:function``.
        mentor_lr: learning rate of the mentors' Adam.
        hidden: of how many numbers the hidden results are that mentor and mentee compare; 0 for no hidden loss.
        energy_start, energy_end: which share of the squared singular values is kept at the start and in the last round
            (0.95 and 0.98 in the original); at 1 nothing is compressed.
    """

    mentor: str = "resnet"
    mentor_lr: PositiveFloat = 1e-3
    hidden: NonNegativeInt = 64
    energy_start: float = Field(default=0.95, gt=0, le=1)
    energy_end: float = Field(default=0.98, gt=0, le=1)

    @model_validator(mode="after")
    def _growing(self) -> FedKDSettings:
        if self.energy_start > self.energy_end:
            raise ValueError("energy_start must not be above energy_end: the original keeps more and more")
        return self


class FedKD(SharedModel):
    """Each client has a mentor of its own, which never travels, and a mentee that everybody shares.

    In each round clients *train*: mentor and mentee learn private images and each other (`logitleak.schemes.mutual`),
    the mentor by Adam, the mentee by gradient descent; the sum of the mentee's gradients, (old − new) / lr, is sent,
    each matrix of it as the fewest singular vectors that hold a share T of its energy. The server averages, weighted by
    the number of images, compresses the average alike and sends it out (*update*); everybody steps along it, the
    server's model too. T grows from ``energy_start`` to ``energy_end`` with the rounds. The mentee itself travels in
    round 1, and again where a client has missed something. The public set is not used.

    Deviations from the original: it trains both models by Adam, so that what travels there is no gradient; its hidden
    loss compares hidden states layer by layer, and attention, of transformers of which one has fewer layers than the
    other. Classifiers of images have no attention, and mentor and mentee may be built unlike, so that here what their
    last layers are given is compared.
    """

    Settings = FedKDSettings
    upload_kind = "gradients"
    settings: FedKDSettings

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self.beside = (self.settings.mentor,)
        self._behind: set[int] | None = None  # clients that may not have the mentee; None before they got it
        self._sizes: dict[str, tuple[int, ...]] = {}  # of the mentee's tensors

    @property
    def actions(self) -> Mapping[str, Action]:
        return {"train": self.train, "update": self.update}

    def energy(self, round: int) -> float:
        """T of a round, which grows in a straight line (Wu et al., 2022)."""
        s = self.settings
        return s.energy_start + (s.energy_end - s.energy_start) * min(1.0, round / self.rounds)

    def serve(self, round: int, channel: Channel, server: Server) -> None:
        mentee, energy = server.bank.weights(0), self.energy(round)
        self._sizes = {name: tuple(value.shape) for name, value in mentee.items()}
        told: dict[str, Scalar] = {
            "architecture": server.bank.architecture, "lr": server.bank.optimization.lr, "energy": energy,
        }  # fmt: skip
        whole = self._behind is None or bool(self._behind)
        sent = {f"model/{name}": value for name, value in mentee.items()} if whole else {}
        answers = channel.ask("train", round, Payload(sent, told))
        heard = [
            (share, low_rank.unpack(named(answer.tensors)))
            for share, answer in shares_of(round, answers.values())
        ]
        compressed = _compressed(average(heard), energy)
        updated = channel.ask("update", round, Payload(compressed, {"lr": server.bank.optimization.lr}))
        server.bank.set_weights(0, stepped(mentee, compressed, server.bank.optimization.lr))
        self._behind = set(range(channel.clients)) - (set(answers) & set(updated))

    def form(
        self, action: str, message: Payload, public: int, num_classes: int, dtype: torch.dtype = torch.float32
    ) -> Form:
        """See `Scheme.form`: every tensor may come as it is, or as any number of singular vectors that is smaller."""
        if action != self.uploads[0]:
            return Form()
        tensors, choices = {}, []
        for name, sizes in self._sizes.items():
            ways = [
                {f"model/{key}": found for key, found in way.items()} for way in low_rank.forms(name, sizes)
            ]
            choices.append([frozenset(way) for way in ways])
            tensors.update({key: Shape(dtype, found) for way in ways for key, found in way.items()})
        return Form(tensors, frozenset({"images"}), choices)

    def train(
        self, bank: ModelBank, data: Sequence[ClientData], message: Payload, context: ClientContext
    ) -> Sequence[Payload]:
        """Have mentor and mentee learn the private data and each other; send what the mentee's gradients sum to."""
        s, energy = self.settings, float(message.scalars["energy"])
        if not message.tensors and not bank.has_beside(MENTOR):
            raise UserError("This client has not been sent the mentee yet; it will be, in the next round.")
        mentors = mentors_of(bank, s.mentor, s.mentor_lr, s.hidden)
        answers = []
        for k, mentor in enumerate(mentors):
            if message.tensors:
                bank.set_weights(k, named(message.tensors))
            old, tell = bank.weights(k), partial(context.listener, context.round, "train", context.clients[k])
            teach(bank, k, mentor, data[k], s.epochs, ("train", context.round), s.hidden, tell)
            new = bank.weights(k)
            gradients = {name: (old[name] - value) / bank.optimization.lr for name, value in new.items()}
            bank.set_weights(k, old)  # what it has learnt comes back to it with what the others have
            answers.append(Payload(_compressed(gradients, energy), {"images": len(data[k])}))
        return answers

    def update(
        self, bank: ModelBank, data: Sequence[ClientData], message: Payload, context: ClientContext
    ) -> Sequence[Payload]:
        """Step along the mean gradients."""
        for k in range(len(bank)):
            bank.set_weights(k, stepped(bank.weights(k), message.tensors, float(message.scalars["lr"])))
        return [Payload()] * len(bank)

    def planned_epochs(self, clients: int, rounds: int) -> Epochs:
        return Epochs(private=rounds * clients * self.settings.epochs)

    def state(self) -> dict[str, Tensor]:
        return (
            {} if self._behind is None else {"behind": torch.tensor(sorted(self._behind), dtype=torch.int64)}
        )

    def load_state(self, table: Mapping[str, Tensor]) -> None:
        self._behind = set(table["behind"].tolist()) if "behind" in table else None


def _compressed(gradients: Mapping[str, Tensor], energy: float) -> dict[str, Tensor]:
    table = [low_rank.pack(name, value, energy) for name, value in gradients.items()]
    return {f"model/{key}": value for packed in table for key, value in packed.items()}


def stepped(weights: Mapping[str, Tensor], compressed: Mapping[str, Tensor], lr: float) -> dict[str, Tensor]:
    """Weights after one step along gradients that were compressed."""
    gradients = low_rank.unpack(named(compressed))
    return {name: value - lr * gradients[name] for name, value in weights.items()}
