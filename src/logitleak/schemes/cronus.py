"""Cronus: collaborative learning by robust knowledge transfer (Chang, Shejwalkar, Shokri and Houmansadr, 2019)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from pydantic import Field, NonNegativeFloat, NonNegativeInt
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
from logitleak.schemes.dsfl import mean_probabilities, soft_cross_entropy
from logitleak.types import ClientData, Payload

_ROWS = 1024
"""Public images whose uploads are filtered at a time."""


class CronusSettings(SchemeSettings):
    """Epochs of each phase, and how the server aggregates.

    Attributes:
        initialize: epochs of each client on its private images alone, before round 1.
        learn: epochs of each client on private and public images together, in every round.
        server: epochs of the server's own model on the aggregate, in every round.
        aggregation: "robust" filters the uploads (`robust_mean`); "mean" is their mean.
        corrupted: ε, the share of clients that may send anything; no more are filtered, and never half of them.
        variance: how much clients may vary along any direction, for one public image, before one is filtered.
    """

    initialize: NonNegativeInt = 10
    learn: NonNegativeInt = 2
    server: NonNegativeInt = 1
    aggregation: Literal["robust", "mean"] = "robust"
    corrupted: float = Field(default=0.2, ge=0, lt=0.5)
    variance: NonNegativeFloat = 0.01


class Cronus(Scheme):
    """Clients upload softmax outputs on an unlabelled public set, and learn from their robust mean.

    Before round 1, *initialize*: cross entropy on private data. In each round: *upload* probabilities; the server
    aggregates them, public image by public image, and trains its own model on the result; *learn*: cross entropy on
    private data and on the public set with the aggregate as its labels, in one (on private data alone with one client,
    who would only learn itself). Nobody labels the public set, so J is the number of private classes.
    """

    Settings = CronusSettings
    uploads = ("upload", "probabilities")
    upload_kind = "probabilities"
    labelled = False
    settings: CronusSettings

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self.averages = self.settings.aggregation == "mean"

    @property
    def actions(self) -> Mapping[str, Action]:
        return {"initialize": self.initialize, "upload": self.upload, "learn": self.learn}

    def begin(self, channel: Channel, server: Server) -> None:
        channel.ask("initialize", 0)

    def serve(self, round: int, channel: Channel, server: Server) -> None:
        aggregate = self._aggregate(round, channel)
        server.fit(round, aggregate, soft_cross_entropy, self.settings.server)
        channel.ask("learn", round, Payload({"aggregate": aggregate} if channel.clients > 1 else {}))

    def planned_epochs(self, clients: int, rounds: int) -> Epochs:
        s = self.settings
        learn = rounds * clients * s.learn
        alone = learn if clients == 1 else 0
        return Epochs(public=rounds * s.server, private=clients * s.initialize + alone, joint=learn - alone)

    def initialize(
        self, bank: ModelBank, data: Sequence[ClientData], message: Payload, context: ClientContext
    ) -> Sequence[Payload]:
        """Learn the private data, by cross entropy."""
        context.learn_private(bank, data, "initialize", self.settings.initialize)
        return [Payload()] * len(bank)

    def upload(
        self, bank: ModelBank, data: Sequence[ClientData], message: Payload, context: ClientContext
    ) -> Sequence[Payload]:
        """Softmax outputs on the whole public set."""
        return softmax_outputs(bank, context.public.images)

    def learn(
        self, bank: ModelBank, data: Sequence[ClientData], message: Payload, context: ClientContext
    ) -> Sequence[Payload]:
        """Learn the private data, and the public set with the aggregate for its labels, by cross entropy."""
        if "aggregate" in message.tensors:
            aggregate, epochs = message.tensors["aggregate"], self.settings.learn
            context.learn_jointly(bank, data, "learn", aggregate, soft_cross_entropy, epochs)
        else:
            context.learn_private(bank, data, "learn", self.settings.learn)
        return [Payload()] * len(bank)

    def _aggregate(self, round: int, channel: Channel) -> Tensor:
        """What the server makes of all uploads, probabilities [N, J]."""
        if self.averages:
            return channel.mean("upload", round, mean_probabilities)
        answers = channel.ask("upload", round).values()
        uploads = [answer.tensors["probabilities"] for answer in answers]
        return robust_mean(uploads, self.settings.corrupted, self.settings.variance)


def robust_mean(uploads: Sequence[Tensor], corrupted: float, variance: float) -> Tensor:
    """The mean over clients of those that a spectral filter leaves, for each public image by itself.

    As long as the clients' outputs vary more than ``variance`` along the direction along which they vary most, the
    client that is farthest from their mean along it is left out. So goes the filter of Diakonikolas et al. (*Being
    Robust (in High Dimensions) Can Be Practical*, 2017), which Cronus takes, but for its random threshold: one client
    at a time leaves.

    Args:
        uploads: K tensors [N, J].
        corrupted: ε; at most ⌈εK⌉ clients are left out of a row, and always fewer than half.
        variance: the largest eigenvalue of their covariance at which nobody is left out.

    Returns:
        the robust mean, [N, J].
    """
    clients = len(uploads)
    most = min(math.ceil(corrupted * clients - 1e-9), (clients - 1) // 2)  # 0.1 · 30 is a little more than 3
    parts = zip(*(upload.split(_ROWS) for upload in uploads), strict=True)
    return torch.cat([_filtered_mean(torch.stack(part, 1), most, variance) for part in parts])


def _filtered_mean(outputs: Tensor, most: int, variance: float) -> Tensor:
    """The robust mean of outputs [n, K, J] over K, of which at most so many are left out."""
    x = outputs.double()
    kept = torch.ones_like(x[..., :1])  # [n, K, 1], 0 for who is left out
    for _ in range(most):
        count = kept.sum(1, keepdim=True)
        centered = (x - (kept * x).sum(1, keepdim=True) / count) * kept
        # K or J may be the smaller; the singular vectors of the clients' side are their places along the direction
        places, values, _ = torch.linalg.svd(centered, full_matrices=False)
        farthest = (places[..., 0].abs() - (1 - kept[..., 0])).argmax(1)
        varied = values[:, 0].square() / count[:, 0, 0] > variance
        kept[varied.nonzero()[:, 0], farthest[varied]] = 0
    return ((kept * x).sum(1) / kept.sum(1)).to(outputs.dtype)
