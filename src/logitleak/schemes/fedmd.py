"""FedMD: heterogeneous federated learning via model distillation (Li and Wang, 2019)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from pydantic import NonNegativeInt
from torch import Tensor

from logitleak.federation.bank import ModelBank
from logitleak.schemes.base import Action, Channel, ClientContext, Epochs, Scheme, SchemeSettings, Server
from logitleak.types import ClientData, Payload


class FedMDSettings(SchemeSettings):
    """Epochs of each phase; the defaults are the paper's.

    Attributes:
        transfer_public: epochs of each client on the public set before round 1.
        transfer_private: epochs of each client on its private images after those.
        digest: epochs of each client on the consensus, in every round.
        revisit: epochs of each client on its private images, in every round.
        server: epochs of the server's own model on the public set, in every round.
    """

    transfer_public: NonNegativeInt = 5
    transfer_private: NonNegativeInt = 5
    digest: NonNegativeInt = 1
    revisit: NonNegativeInt = 1
    server: NonNegativeInt = 1


class FedMD(Scheme):
    """Clients upload logits on a labelled public set, and learn from the average of everybody's.

    Before round 1, *transfer*: cross entropy on the public set, then on the private one. In each round:
    *upload* logits; the server averages them (consensus); *digest*: L1 loss between own logits and the
    consensus (skipped with one client, who would only learn itself); *revisit*: cross entropy on private
    data; the server trains its own model on the labelled public set.
    """

    Settings = FedMDSettings
    uploads = ("upload", "logits")
    own_model_is_null = True
    averages = True
    settings: FedMDSettings

    @property
    def actions(self) -> Mapping[str, Action]:
        return {
            "transfer": self.transfer,
            "upload": self.upload,
            "digest": self.digest,
            "revisit": self.revisit,
        }

    def begin(self, channel: Channel, server: Server) -> None:
        channel.ask("transfer", 0)

    def serve(self, round: int, channel: Channel, server: Server) -> None:
        consensus = channel.mean("upload", round, mean_logits)
        if channel.clients > 1:
            channel.ask("digest", round, Payload({"consensus": consensus}))
        channel.ask("revisit", round)
        server.fit(round, server.public.labelled().labels, F.cross_entropy, self.settings.server)

    def planned_epochs(self, clients: int, rounds: int) -> Epochs:
        s = self.settings
        return Epochs(
            labels=clients * s.transfer_public + rounds * s.server,
            public=clients * rounds * s.digest if clients > 1 else 0,
            private=clients * (s.transfer_private + rounds * s.revisit),
        )

    def transfer(
        self, bank: ModelBank, data: Sequence[ClientData], message: Payload, context: ClientContext
    ) -> Sequence[Payload]:
        """Learn the public set, then the private one, by cross entropy."""
        labels = context.public.labelled().labels
        context.learn_public(bank, "transfer-public", labels, F.cross_entropy, self.settings.transfer_public)
        context.learn_private(bank, data, "transfer-private", self.settings.transfer_private)
        return [Payload()] * len(bank)

    def upload(
        self, bank: ModelBank, data: Sequence[ClientData], message: Payload, context: ClientContext
    ) -> Sequence[Payload]:
        """Logits on the whole public set."""
        return [Payload({"logits": logits}) for logits in bank.predict_each(context.public.images)]

    def digest(
        self, bank: ModelBank, data: Sequence[ClientData], message: Payload, context: ClientContext
    ) -> Sequence[Payload]:
        """Move one's own logits on the public set toward the consensus, by L1 loss."""
        context.learn_public(bank, "digest", message.tensors["consensus"], F.l1_loss, self.settings.digest)
        return [Payload()] * len(bank)

    def revisit(
        self, bank: ModelBank, data: Sequence[ClientData], message: Payload, context: ClientContext
    ) -> Sequence[Payload]:
        """Return to the private data, by cross entropy."""
        context.learn_private(bank, data, "revisit", self.settings.revisit)
        return [Payload()] * len(bank)


def mean_logits(uploads: Sequence[Tensor]) -> Tensor:
    """The consensus: the plain average over clients, float32 [N, J]."""
    total = torch.zeros_like(uploads[0])
    for logits in uploads:
        total += logits
    return total / len(uploads)
