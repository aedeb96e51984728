"""FedAvg with a participant that attacks the others (Hitaj, Ateniese and Perez-Cruz, CCS 2017)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from logitleak.federation.bank import ModelBank
from logitleak.machine.forecast import Scale, Work
from logitleak.schemes.base import Channel, Epochs, Server
from logitleak.schemes.participant import FedAvgGANSettings, Participant, memory, rehearsed
from logitleak.schemes.shared_model import SharedModel, average, named, shares_of
from logitleak.types import Payload


class FedAvgGAN(SharedModel):
    """FedAvg in which one more participant is malicious: it holds no private image, trains a generator against the
    model of the round, and trains on what that makes under a wrong label, so that the others teach the model more of
    what the right one looks like.

    It is played where the server is, and is no client of the federation: it answers nobody, and holds what any client
    gets, the model of each round. Its update counts in the average like anybody's, by the images that it trains on.
    What its generator makes of every target is kept on record (`held`).

    Deviations from the original: one generator of all targets, which is told a label, where the original attacks one
    class; made images get the label of a person whom no client has private images of, where its networks have one
    output more; the participant trains on public images of such people besides.
    """

    Settings = FedAvgGANSettings
    outsiders = True
    settings: FedAvgGANSettings

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self._participant: Participant | None = None
        self._kept: dict[str, Tensor] = {}  # of a participant that is yet to be made
        self._shown: dict[str, Tensor] = {}

    @property
    def provides(self) -> frozenset[str]:
        return super().provides | {"generated"}

    def serve(self, round: int, channel: Channel, server: Server) -> None:
        participant = self._begun(server)
        answers = self.answers(round, channel, server)
        if participant.attacks(round):
            participant.learn(copy.deepcopy(server.bank.models[0]), round)
        own = self._trained(participant, round, server)
        models = ((share, named(answer.tensors)) for share, answer in shares_of(round, [*answers, own]))
        server.bank.set_weights(0, average(models))
        self._shown = participant.shown(round)

    def held(self) -> dict[str, Tensor]:
        return self._shown

    def planned_epochs(self, clients: int, rounds: int) -> Epochs:
        epochs = rounds * self.settings.epochs
        return Epochs(private=clients * epochs, outside=epochs)

    def outside_work(
        self, scale: Scale, model: Callable[[], nn.Module], device: torch.device
    ) -> tuple[int, Sequence[Work]]:
        s, attacking = self.settings, max(0, scale.rounds - self.settings.warm_up)
        shown = scale.rounds * min(s.held, scale.sensitive) + attacking * s.injected
        step = rehearsed(s, scale, model, device)
        return s.epochs * shown, [Work("step of the generator", step, attacking * s.gan_steps)]

    def outside_memory(self, scale: Scale, model: nn.Module) -> int:
        return memory(self.settings, scale, model)

    def state(self) -> dict[str, Tensor]:
        return self._kept if self._participant is None else self._participant.state()

    def load_state(self, table: Mapping[str, Tensor]) -> None:
        self._participant, self._kept = None, dict(table)

    def _begun(self, server: Server) -> Participant:
        """The participant, as far as it is."""
        if self._participant is None:
            bank = server.bank
            self._participant = Participant(self.settings, server.public, bank.seed, bank.device)
            if self._kept:
                self._participant.load_state(self._kept)
        return self._participant

    def _trained(self, participant: Participant, round: int, server: Server) -> Payload:
        """What the participant sends: the model of the round, trained as every client trains it."""
        shared, data = server.bank, participant.data(round)
        bank = ModelBank(
            shared.architecture, shared.image_size, shared.num_classes, ["participant"],
            shared.optimization, shared.seed, shared.device, shared.dtype,
        )  # fmt: skip
        bank.set_weights(0, shared.weights(0))

        def tell(_: int, epoch: int, value: float) -> None:
            server.listener(round, "participant", None, epoch, value)

        epochs = self.settings.epochs
        bank.fit([data.images], [data.labels], F.cross_entropy, epochs, ("train", round), tell)
        values = {f"model/{name}": value for name, value in bank.weights(0).items()}
        return Payload(values, {"images": len(data)})
