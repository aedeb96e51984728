"""What a client has in hand while it does what the server asks, and how it learns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from logitleak.federation.bank import ModelBank
from logitleak.federation.optimization import Loss, Targets
from logitleak.federation.trainer import Trainer
from logitleak.types import ClientData, PublicData

Listener = Callable[[int, str, int | None, int, float], None]
"""(round, phase, client or None for the server, epoch, mean loss)."""


def ignore(round: int, phase: str, client: int | None, epoch: int, loss: float) -> None:
    """A `Listener` for whoever wants none."""
    return None


@dataclass(frozen=True)
class ClientContext:
    """What a client action may use besides its model, its data and the message.

    Attributes:
        public: the public set.
        round: from 1; 0 before the first.
        clients: the clients of the bank, in its order.
        listener: hears the loss of every epoch.
        trainers: how some clients learn their private images, by client; the others learn them as anything else.
    """

    public: PublicData
    round: int = 0
    clients: Sequence[int] = ()
    listener: Listener = field(default=ignore)
    trainers: Mapping[int, Trainer] = field(default_factory=dict)

    def at(self, round: int, clients: Sequence[int]) -> ClientContext:
        """The same context in another round, for some clients."""
        return replace(self, round=round, clients=clients)

    def fit(
        self,
        bank: ModelBank,
        phase: str,
        images: Sequence[Tensor],
        targets: Sequence[Targets],
        loss: Loss,
        epochs: int,
    ) -> None:
        """Train a bank and tell the listener the loss of every epoch."""

        def tell(k: int, epoch: int, value: float) -> None:
            self.listener(self.round, phase, self.clients[k], epoch, value)

        bank.fit(images, targets, loss, epochs, (phase, self.round), tell)

    def learn_private(self, bank: ModelBank, data: Sequence[ClientData], phase: str, epochs: int) -> None:
        """Cross entropy of every client on its own D_k, by its trainer where it has one."""
        led = [k for k, client in enumerate(self.clients) if client in self.trainers]
        for k in led:
            self._learn_led(bank.part([k]), k, data[k], phase, epochs)
        free = [k for k in range(len(bank)) if k not in led]
        if free:
            context = replace(self, clients=[self.clients[k] for k in free]) if led else self
            images, labels = [data[k].images for k in free], [data[k].labels for k in free]
            context.fit(bank.part(free) if led else bank, phase, images, labels, F.cross_entropy, epochs)

    def _learn_led(self, alone: ModelBank, k: int, data: ClientData, phase: str, epochs: int) -> None:
        def tell(epoch: int, value: float) -> None:
            self.listener(self.round, phase, self.clients[k], epoch, value)

        self.trainers[self.clients[k]].fit(alone, data, epochs, phase, self.round, tell)

    def learn_public(self, bank: ModelBank, phase: str, targets: Targets, loss: Loss, epochs: int) -> None:
        """The same targets [N, ...] for every client, on the whole public set."""
        self.fit(bank, phase, [self.public.images] * len(bank), [targets] * len(bank), loss, epochs)

    def learn_jointly(
        self,
        bank: ModelBank,
        data: Sequence[ClientData],
        phase: str,
        targets: Tensor,
        loss: Loss,
        epochs: int,
    ) -> None:
        """Every client on the public set and its own D_k in one: batches mix images of both.

        A client with a trainer learns the public set first and D_k after it, since training defenses act while private
        images are learnt and on nothing else.

        Args:
            bank: the clients' models.
            data: D_k of each.
            phase: what the scheme calls this.
            targets: what the public images are to give, [N, J]; private ones are to give their labels, as rows of
                zeros and a one.
            loss: from logits and such rows to a scalar.
            epochs: how often.
        """
        for k, client in enumerate(self.clients):  # one at a time: each needs a copy of the public set
            alone, context = bank.part([k]), replace(self, clients=[client])
            if client in self.trainers:
                context.learn_public(alone, f"{phase}-public", targets, loss, epochs)
                self._learn_led(alone, k, data[k], phase, epochs)
                continue
            own = F.one_hot(data[k].labels, targets.shape[-1]).to(targets)
            images = torch.cat([self.public.images, data[k].images])
            context.fit(alone, phase, [images], [torch.cat([targets, own])], loss, epochs)
