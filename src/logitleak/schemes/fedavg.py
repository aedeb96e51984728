"""FedAvg (McMahan et al., 2017): clients share weights. Not a distillation; what its logits are compared with."""

from __future__ import annotations

from typing import Any, Literal

from logitleak.schemes.base import Channel, Epochs, Server
from logitleak.schemes.shared_model import SharedModel, SharedModelSettings, average


class FedAvgSettings(SharedModelSettings):
    """How long clients train, and what they send.

    Attributes:
        send: "weights" after training, or "gradients": the sum of the steps' gradients, (old − new) / lr,
            which says the same.
    """

    send: Literal["weights", "gradients"] = "weights"


class FedAvg(SharedModel):
    """In each round the server sends its model; clients *train* it on private data by gradient descent and send
    it back; the average, weighted by the number of images, is the next model. The public set is not used."""

    Settings = FedAvgSettings
    settings: FedAvgSettings

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self.upload_kind = self.settings.send

    def serve(self, round: int, channel: Channel, server: Server) -> None:
        server.bank.set_weights(0, average(self.collect(round, channel, server)))

    def planned_epochs(self, clients: int, rounds: int) -> Epochs:
        return Epochs(private=rounds * clients * self.settings.epochs)
