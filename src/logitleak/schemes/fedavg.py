"""FedAvg (McMahan et al., 2017): clients share weights. Not a distillation; what its logits are compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from pydantic import PositiveInt
from torch import Tensor

from logitleak.errors import UserError
from logitleak.federation.answers import Form
from logitleak.federation.bank import ModelBank
from logitleak.schemes.base import Action, Channel, ClientContext, Epochs, Scheme, SchemeSettings, Server
from logitleak.types import ClientData, Payload, Scalar


class FedAvgSettings(SchemeSettings):
    """How long clients train, and what they send.

    Attributes:
        epochs: local epochs in a round (2 in the paper's comparison).
        send: "weights" after training, or "gradients": the sum of the steps' gradients, (old − new) / lr,
            which says the same.
    """

    epochs: PositiveInt = 2
    send: Literal["weights", "gradients"] = "weights"


class FedAvg(Scheme):
    """In each round the server sends its model; clients *train* it on private data by gradient descent and send
    it back; the average, weighted by the number of images, is the next model. The public set is not used."""

    Settings = FedAvgSettings
    uploads = ("train", "model")
    optimizer = "sgd"
    one_architecture = True
    settings: FedAvgSettings

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self.upload_kind = self.settings.send

    @property
    def actions(self) -> Mapping[str, Action]:
        return {"train": self.train}

    def serve(self, round: int, channel: Channel, server: Server) -> None:
        sent, lr = server.bank.weights(0), server.bank.optimization.lr
        message = {f"model/{name}": value for name, value in sent.items()}
        scalars: dict[str, Scalar] = {"architecture": server.bank.architecture, "lr": lr}
        answers = channel.ask("train", round, Payload(message, scalars))
        total = sum(int(answer.scalars["images"]) for answer in answers.values())
        if total == 0:
            raise UserError(
                f"No client that answered in round {round} has an image, so there is nothing to average; give the "
                "clients images, or leave those without any out."
            )
        mean = {name: torch.zeros_like(value) for name, value in sent.items()}
        for answer in answers.values():
            share = int(answer.scalars["images"]) / total
            for name in mean:
                value = answer.tensors[f"model/{name}"]
                mean[name] += share * (value if self.settings.send == "weights" else sent[name] - lr * value)
        server.bank.set_weights(0, mean)

    def form(
        self, action: str, message: Payload, public: int, num_classes: int, dtype: torch.dtype = torch.float32
    ) -> Form:
        return Form(super().form(action, message, public, num_classes, dtype).tensors, frozenset({"images"}))

    def planned_epochs(self, clients: int, rounds: int) -> Epochs:
        return Epochs(private=rounds * clients * self.settings.epochs)

    def train(
        self, bank: ModelBank, data: Sequence[ClientData], message: Payload, context: ClientContext
    ) -> Sequence[Payload]:
        """Start from the server's weights, learn the private data, send the result."""
        sent = _named(message.tensors)
        for k in range(len(bank)):
            bank.set_weights(k, sent)
        context.learn_private(bank, data, "train", self.settings.epochs)
        return [self._answer(bank, k, len(data[k]), sent) for k in range(len(bank))]

    def _answer(self, bank: ModelBank, k: int, images: int, sent: Mapping[str, Tensor]) -> Payload:
        values = bank.weights(k)
        if self.settings.send == "gradients":
            values = {name: (sent[name] - value) / bank.optimization.lr for name, value in values.items()}
        return Payload({f"model/{name}": value for name, value in values.items()}, {"images": images})


def _named(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix("model/"): value for name, value in tensors.items()}
