"""DS-FL: distillation-based semi-supervised federated learning (Itahara et al., 2021)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from pydantic import NonNegativeInt, PositiveFloat
from torch import Tensor

from logitleak.federation.bank import ModelBank
from logitleak.schemes.base import (
    Action,
    Channel,
    ClientContext,
    Epochs,
    Scheme,
    SchemeSettings,
    Server,
    softmax_outputs,
)
from logitleak.types import ClientData, Payload


class DSFLSettings(SchemeSettings):
    """Epochs of each phase, and how the server aggregates; the defaults are the paper's.

    Attributes:
        learn: epochs of each client on its private images, in every round.
        distill: epochs of each client on the aggregate, in every round.
        server: epochs of the server's own model on the aggregate, in every round.
        aggregation: "era" sharpens the mean of the uploads, which reduces its entropy; "simple" is the mean.
        era_temperature: softmax temperature of the sharpening.
    """

    learn: NonNegativeInt = 2
    distill: NonNegativeInt = 2
    server: NonNegativeInt = 1
    aggregation: Literal["era", "simple"] = "era"
    era_temperature: PositiveFloat = 0.1


class DSFL(Scheme):
    """Clients upload softmax outputs on an unlabelled public set, and learn from the aggregate.

    In each round: *learn*: cross entropy on private data; *upload* probabilities; the server aggregates them
    (entropy-reduction aggregation) and trains its own model on the result; *distill*: cross entropy against
    it (skipped with one client, who would only learn itself). Nobody labels the public set, so J is the number
    of private classes.
    """

    Settings = DSFLSettings
    uploads = ("upload", "probabilities")
    upload_kind = "probabilities"
    labelled = False
    averages = True
    settings: DSFLSettings

    @property
    def actions(self) -> Mapping[str, Action]:
        return {"learn": self.learn, "upload": self.upload, "distill": self.distill}

    def serve(self, round: int, channel: Channel, server: Server) -> None:
        channel.ask("learn", round)
        consensus = self.sharpen(channel.mean("upload", round, mean_probabilities))
        server.fit(round, consensus, soft_cross_entropy, self.settings.server)
        if channel.clients > 1:
            channel.ask("distill", round, Payload({"consensus": consensus}))

    def planned_epochs(self, clients: int, rounds: int) -> Epochs:
        s = self.settings
        distill = clients * s.distill if clients > 1 else 0
        return Epochs(public=rounds * (distill + s.server), private=rounds * clients * s.learn)

    def sharpen(self, mean: Tensor) -> Tensor:
        """The consensus from the mean of the uploads [N, J]: itself, and with "era" softmax(mean / temperature)."""
        if self.settings.aggregation == "simple":
            return mean
        return torch.softmax(mean / self.settings.era_temperature, -1)

    def learn(
        self, bank: ModelBank, data: Sequence[ClientData], message: Payload, context: ClientContext
    ) -> Sequence[Payload]:
        """Learn the private data, by cross entropy."""
        context.learn_private(bank, data, "learn", self.settings.learn)
        return [Payload()] * len(bank)

    def upload(
        self, bank: ModelBank, data: Sequence[ClientData], message: Payload, context: ClientContext
    ) -> Sequence[Payload]:
        """Softmax outputs on the whole public set."""
        return softmax_outputs(bank, context.public.images)

    def distill(
        self, bank: ModelBank, data: Sequence[ClientData], message: Payload, context: ClientContext
    ) -> Sequence[Payload]:
        """Learn the consensus on the public set, by cross entropy against its probabilities."""
        consensus = message.tensors["consensus"]
        context.learn_public(bank, "distill", consensus, soft_cross_entropy, self.settings.distill)
        return [Payload()] * len(bank)


def mean_probabilities(uploads: Sequence[Tensor]) -> Tensor:
    """The plain average over clients, [N, J]."""
    mean = torch.zeros_like(uploads[0])
    for probabilities in uploads:
        mean += probabilities / len(uploads)
    return mean


def soft_cross_entropy(logits: Tensor, probabilities: Tensor) -> Tensor:
    """−Σ q log p, averaged over the batch."""
    return -(probabilities * logits.log_softmax(-1)).sum(-1).mean()
