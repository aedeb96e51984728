"""FedGEMS: selective knowledge fusion between clients and a larger server model (Cheng et al., 2021)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeInt
from torch import Tensor

from logitleak.federation.bank import ModelBank
from logitleak.schemes.base import Action, Channel, ClientContext, Epochs, Scheme, SchemeSettings, Server
from logitleak.types import ClientData, Payload

_LEAST_ENTROPY = 1e-6
"""A saturated output has entropy 0; its weight 1/entropy must stay a number."""


class FedGEMSSettings(SchemeSettings):
    """Epochs of each phase, and the weight of labels; the defaults are the paper's.

    Attributes:
        learn: epochs of each client on its private images, in every round.
        distill: epochs of each client on the server's logits, in every round.
        server: epochs of the server's own model on the public set, in every round.
        epsilon: share ε of cross entropy in both distillation losses.
    """

    learn: NonNegativeInt = 2
    distill: NonNegativeInt = 2
    server: NonNegativeInt = 1
    epsilon: float = Field(default=0.75, ge=0, le=1)


class FedGEMS(Scheme):
    """The server asks clients for what it does not know, and teaches them what it does.

    In each round: *learn*: cross entropy on private data. The server looks at its own predictions on the
    labelled public set. What is right goes to its memory. For what is wrong and was never right it asks for
    the clients' logits (*upload*), **these rows only**, and joins them, weighted by 1/entropy among the clients
    that are right. It then learns: cross entropy where it is right, ε·CE + (1 − ε)·KL(teacher ‖ f₀) where it is
    wrong, the teacher being memory or clients; where no client is right either, cross entropy alone.
    *Distill*: clients learn ε·CE + (1 − ε)·KL(f₀ ‖ f_k) on the public set, with one client too: the server is
    another model than theirs.

    Which rows are right is decided once, before the server's epoch, so that one message asks for all rows.
    """

    Settings = FedGEMSSettings
    uploads = ("upload", "logits")
    uploads_at_once = 4  # as they came, stacked, as probabilities and weighted
    settings: FedGEMSSettings

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self._memory: Tensor | None = None  # float32 [N, J], logits of f₀ when it was last right
        self._known: Tensor | None = None  # bool [N], where the memory holds something

    @property
    def actions(self) -> Mapping[str, Action]:
        return {"learn": self.learn, "upload": self.upload, "distill": self.distill}

    def serve(self, round: int, channel: Channel, server: Server) -> None:
        labels = server.public.labelled().labels
        channel.ask("learn", round)
        right, teacher, known = self._remember(server.logits(), labels)
        wanted = torch.nonzero(~known).flatten()
        uploads = channel.ask("upload", round, Payload({"rows": wanted}))
        joined, taught = join([p.tensors["logits"] for p in uploads.values()], labels[wanted])
        teacher[wanted] = joined
        distilled = known & ~right
        distilled[wanted] = taught
        server.fit(round, (labels, teacher, distilled), self._server_loss, self.settings.server)
        channel.ask("distill", round, Payload({"logits": server.logits()}))

    def planned_epochs(self, clients: int, rounds: int) -> Epochs:
        s = self.settings
        return Epochs(public=rounds * (clients * s.distill + s.server), private=rounds * clients * s.learn)

    def learn(
        self, bank: ModelBank, data: Sequence[ClientData], message: Payload, context: ClientContext
    ) -> Sequence[Payload]:
        """Learn the private data, by cross entropy."""
        context.learn_private(bank, data, "learn", self.settings.learn)
        return [Payload()] * len(bank)

    def upload(
        self, bank: ModelBank, data: Sequence[ClientData], message: Payload, context: ClientContext
    ) -> Sequence[Payload]:
        """Logits on the public rows that the server asks for, and on no other."""
        images = context.public.images[message.tensors["rows"]]
        return [Payload({"logits": logits}) for logits in bank.predict_each(images)]

    def distill(
        self, bank: ModelBank, data: Sequence[ClientData], message: Payload, context: ClientContext
    ) -> Sequence[Payload]:
        """Learn labels and the server's logits on the public set."""
        targets = (context.public.labelled().labels, message.tensors["logits"])
        context.learn_public(bank, "distill", targets, self._client_loss, self.settings.distill)
        return [Payload()] * len(bank)

    def state(self) -> dict[str, Tensor]:
        if self._memory is None or self._known is None:
            return {}
        return {"memory": self._memory, "known": self._known}

    def load_state(self, table: Mapping[str, Tensor]) -> None:
        self._memory, self._known = table.get("memory"), table.get("known")

    def _remember(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Keep what the server has right. Returns bool [N] right now, a copy of the memory, and bool [N] known."""
        right = logits.argmax(-1) == labels
        memory = torch.zeros_like(logits) if self._memory is None else self._memory
        known = torch.zeros_like(right) if self._known is None else self._known
        self._memory = torch.where(right[:, None], logits, memory)
        self._known = known | right
        return right, self._memory.clone(), self._known

    def _server_loss(self, logits: Tensor, labels: Tensor, teacher: Tensor, distilled: Tensor) -> Tensor:
        hard = F.cross_entropy(logits, labels, reduction="none")
        epsilon = self.settings.epsilon
        mixed = epsilon * hard + (1 - epsilon) * divergence(teacher, logits)
        return torch.where(distilled, mixed, hard).mean()

    def _client_loss(self, logits: Tensor, labels: Tensor, teacher: Tensor) -> Tensor:
        epsilon = self.settings.epsilon
        soft = divergence(teacher, logits).mean()
        return epsilon * F.cross_entropy(logits, labels) + (1 - epsilon) * soft


def divergence(teacher: Tensor, student: Tensor) -> Tensor:
    """KL(teacher ‖ student) of logits [n, J], for each row."""
    log_teacher, log_student = teacher.log_softmax(-1), student.log_softmax(-1)
    return (log_teacher.exp() * (log_teacher - log_student)).sum(-1)


def join(uploads: Sequence[Tensor], labels: Tensor) -> tuple[Tensor, Tensor]:
    """The clients' knowledge of some rows: a mean of their logits, weighted by softmax(1 / entropy) among the
    clients that are right.

    Args:
        uploads: K tensors [n, J].
        labels: int64 [n].

    Returns:
        logits [n, J], zeros where no client is right, and bool [n] where one is.
    """
    logits = torch.stack(list(uploads))
    log_p = logits.log_softmax(-1)
    entropy = -(log_p.exp() * log_p).sum(-1)  # [K, n]
    right = logits.argmax(-1) == labels
    certainty = (1 / entropy.clamp_min(_LEAST_ENTROPY)).masked_fill(~right, -torch.inf)
    weights = certainty.softmax(0).nan_to_num(0)  # 0/0 where nobody is right
    return (weights[..., None] * logits).sum(0), right.any(0)
