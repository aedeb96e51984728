"""What schemes have in common whose server sends its model out and gets every client's back (FedAvg, FedDF)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import torch
from pydantic import PositiveInt
from torch import Tensor

from logitleak.errors import UserError
from logitleak.federation.answers import Form
from logitleak.federation.bank import ModelBank
from logitleak.schemes.base import Action, Channel, ClientContext, Scheme, SchemeSettings, Server
from logitleak.types import ClientData, Payload, Scalar, UploadKind

Trained = tuple[float, Mapping[str, Tensor]]
"""A client's share of all images, and its model after training, by parameter."""


class SharedModelSettings(SchemeSettings):
    """How long clients train.

    Attributes:
        epochs: local epochs in a round (2 in the FedMD paper's comparison).
    """

    epochs: PositiveInt = 2


class SharedModel(Scheme):
    """The server sends its model; clients *train* it on private data by gradient descent, and send weights or
    gradients, as ``upload_kind`` says. What the server makes of them is the scheme's."""

    uploads = ("train", "model")
    upload_kind: UploadKind = "weights"
    optimizer = "sgd"
    one_architecture = True
    settings: SharedModelSettings

    @property
    def actions(self) -> Mapping[str, Action]:
        return {"train": self.train}

    def answers(self, round: int, channel: Channel, server: Server) -> Collection[Payload]:
        """Send the model out, with what attacks on gradients must know of it, and get what clients made of it."""
        message = {f"model/{name}": value for name, value in server.bank.weights(0).items()}
        scalars: dict[str, Scalar] = {
            "architecture": server.bank.architecture, "lr": server.bank.optimization.lr,
        }  # fmt: skip
        return channel.ask("train", round, Payload(message, scalars)).values()

    def collect(self, round: int, channel: Channel, server: Server) -> Iterator[Trained]:
        """Send the model out, and get those of the clients that have images.

        Raises:
            UserError: none has any.
        """
        sent, lr = server.bank.weights(0), server.bank.optimization.lr
        for share, answer in shares_of(round, self.answers(round, channel, server)):
            values = named(answer.tensors)
            if self.upload_kind == "gradients":
                values = {name: sent[name] - lr * value for name, value in values.items()}
            yield share, values

    def form(
        self, action: str, message: Payload, public: int, num_classes: int, dtype: torch.dtype = torch.float32
    ) -> Form:
        return Form(super().form(action, message, public, num_classes, dtype).tensors, frozenset({"images"}))

    def train(
        self, bank: ModelBank, data: Sequence[ClientData], message: Payload, context: ClientContext
    ) -> Sequence[Payload]:
        """Start from the server's weights, learn the private data, send the result."""
        sent = named(message.tensors)
        for k in range(len(bank)):
            bank.set_weights(k, sent)
        context.learn_private(bank, data, "train", self.settings.epochs)
        return [self._answer(bank, k, len(data[k]), sent) for k in range(len(bank))]

    def _answer(self, bank: ModelBank, k: int, images: int, sent: Mapping[str, Tensor]) -> Payload:
        values = bank.weights(k)
        if self.upload_kind == "gradients":
            values = {name: (sent[name] - value) / bank.optimization.lr for name, value in values.items()}
        return Payload({f"model/{name}": value for name, value in values.items()}, {"images": images})


def shares_of(round: int, answers: Collection[Payload]) -> Iterator[tuple[float, Payload]]:
    """The answers of clients that have images, each with its share of all.

    Raises:
        UserError: none has any.
    """
    total = sum(int(answer.scalars["images"]) for answer in answers)
    if total == 0:
        raise UserError(
            f"No client that answered in round {round} has an image, so there is nothing to average; give the "
            "clients images, or leave those without any out."
        )
    for answer in answers:
        if images := int(answer.scalars["images"]):
            yield images / total, answer


def average(models: Iterable[Trained]) -> dict[str, Tensor]:
    """The mean of models, by the shares that stand beside them."""
    mean: dict[str, Tensor] = {}
    for share, values in models:
        for name, value in values.items():
            mean[name] = mean.get(name, torch.zeros_like(value)) + share * value
    return mean


def named(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A model's tensors by parameter, of a message."""
    return {name.removeprefix("model/"): value for name, value in tensors.items()}
