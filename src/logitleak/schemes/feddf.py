"""FedDF: ensemble distillation for robust model fusion (Lin, Kong, Stich and Jaggi, 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from pydantic import NonNegativeInt, PositiveFloat
from torch import Tensor

from logitleak.federation.bank import Optimization
from logitleak.schemes.base import Channel, Epochs, Server
from logitleak.schemes.fedgems import divergence
from logitleak.schemes.shared_model import SharedModel, SharedModelSettings, Trained, average


class FedDFSettings(SharedModelSettings):
    """How long clients train, and how the server distills.

    Attributes:
        distill: epochs of the server's model on the clients' mean logits, in every round.
        distill_lr: learning rate of Adam while it does (1e-3 in the paper).
    """

    distill: NonNegativeInt = 5
    distill_lr: PositiveFloat = 1e-3


class FedDF(SharedModel):
    """Clients share weights, and the server distills their models into one on an unlabelled public set.

    In each round the server sends its model; clients *train* it on private data by gradient descent and send it back.
    The average, weighted by the number of images, is where the next model starts from; it then learns what all clients'
    models together say of the public set: KL(softmax of the mean of their logits ‖ model), by an Adam of its own (left
    out where a single client has sent a model, which is its own average). Everybody has one architecture: the paper's
    groups of prototypes are not built.
    """

    Settings = FedDFSettings
    labelled = False
    settings: FedDFSettings

    def serve(self, round: int, channel: Channel, server: Server) -> None:
        models = list(self.collect(round, channel, server))
        teacher = self._ensemble(server, models)
        server.bank.set_weights(0, average(models))
        if len(models) > 1:
            distilled = server.bank.optimized(self._distillation(server.bank.optimization))
            replace(server, bank=distilled).fit(round, teacher, soft_divergence, self.settings.distill)

    def planned_epochs(self, clients: int, rounds: int) -> Epochs:
        s = self.settings
        distill = s.distill if clients > 1 else 0
        return Epochs(public=rounds * distill, private=rounds * clients * s.epochs)

    def _ensemble(self, server: Server, models: Sequence[Trained]) -> Tensor:
        """The mean of the models' logits on the public set, [N, J]; each counts alike, as in the paper."""
        total = torch.zeros((), dtype=server.bank.dtype)
        for _, weights in models:
            server.bank.set_weights(0, weights)
            total = total + server.bank.predict(server.public.images)[0]
        return total / len(models)

    def _distillation(self, training: Optimization) -> Optimization:
        return replace(training, kind="adam", lr=self.settings.distill_lr, weight_decay=0.0)


def soft_divergence(logits: Tensor, teacher: Tensor) -> Tensor:
    """KL(teacher ‖ student) of logits [n, J], averaged over the batch."""
    return divergence(teacher, logits).mean()
