"""What a scheme is: server rounds in a straight line, and client actions with a leading axis K."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn

from logitleak.errors import UserError
from logitleak.federation.answers import Form, Shape
from logitleak.federation.bank import ModelBank
from logitleak.federation.optimization import Loss, Targets
from logitleak.files.finite import all_finite
from logitleak.machine.forecast import Scale, Work
from logitleak.schemes.context import ClientContext, Listener, ignore
from logitleak.strict import Strict
from logitleak.types import MODEL_KINDS, ClientData, Payload, PublicData, UploadKind, provided

Average = Callable[[Sequence[Tensor]], Tensor]
"""The mean of K tensors of one shape."""


class Channel(Protocol):
    """How a server reaches its clients; the same scheme runs over any."""

    @property
    def clients(self) -> int: ...

    def ask(self, action: str, round: int, message: Payload | None = None) -> Mapping[int, Payload]:
        """Have the clients do a named action; the answers of those who gave a valid one, at least one."""

    def mean(self, action: str, round: int, average: Average, message: Payload | None = None) -> Tensor:
        """Have the clients do a named action, and get the mean of what they answer, one tensor each.

        Args:
            action: its name.
            round: the round.
            average: how, where every answer is seen. An aggregator that hides them has its own way.
            message: what the server sends.
        """


def softmax_outputs(bank: ModelBank, images: Tensor) -> list[Payload]:
    """What every model of a bank says of images uint8 [n, 3, H, W], as "probabilities" [n, J]."""
    return [Payload({"probabilities": logits.softmax(-1)}) for logits in bank.predict_each(images)]


@dataclass
class Server:
    """The curious server's own model f_0, trained on public data only."""

    bank: ModelBank
    public: PublicData
    listener: Listener = field(default=ignore)
    _kept: tuple[int, Tensor] = field(default=(-1, torch.empty(0)), init=False, repr=False)

    def fit(self, round: int, targets: Targets, loss: Loss, epochs: int) -> None:
        """Train f_0 on the public set toward ``targets`` [N, ...]."""

        def tell(_: int, epoch: int, value: float) -> None:
            self.listener(round, "server", None, epoch, value)

        self.bank.fit([self.public.images], [targets], loss, epochs, ("server", round), tell)

    def logits(self) -> Tensor:
        """f_0 on the public set, float32 [N, J]; computed once for as long as f_0 does not change.

        Raises:
            UserError: the training diverged. A round with such outputs could not be attacked, so it must not be kept.
        """
        if self._kept[0] != self.bank.changes:
            found = self.bank.predict(self.public.images)[0]
            if not all_finite(found):
                raise UserError(
                    "The server's own model gives outputs that are not finite; lower federation.lr."
                )
            self._kept = self.bank.changes, found
        return self._kept[1].clone()


@dataclass(frozen=True)
class Epochs:
    """How many epochs all models of a federation train in all, by what they learn from.

    Attributes:
        labels: the public set and its labels, by models that have learnt nothing else yet: the same in all twin worlds.
        public: the public set with other targets, or by models that private images have reached.
        private: a client's own D_k.
        joint: the public set with other targets and D_k in one.
        outside: what somebody who is no client has of its own; see `Scheme.outside_work`.
    """

    labels: int = 0
    public: int = 0
    private: int = 0
    joint: int = 0
    outside: int = 0

    @property
    def total(self) -> int:
        return self.labels + self.public + self.private + self.joint + self.outside


class SchemeSettings(Strict):
    """Hyper-parameters that every scheme has."""


Action = Callable[[ModelBank, Sequence[ClientData], Payload, ClientContext], Sequence[Payload]]


class Scheme(ABC):
    """A scheme of federated distillation, written once for every transport.

    Where the server asks for some public rows only, the message of that action holds their ids as ``rows``.

    Attributes:
        Settings: the pydantic model of its hyper-parameters.
        uploads: (action, tensor) that carries what clients give away: outputs on the public set, or, where
            ``upload_kind`` is one of `MODEL_KINDS`, one tensor for each parameter, named ``tensor/parameter``.
        upload_kind: what that is; an instance may set it by its settings.
        labelled: whether it needs labels of the public set. Without them J is the number of private classes.
        optimizer: how everybody trains.
        one_architecture: whether clients and server must have the same model.
        uploads_at_once: how many times over all uploads are in memory while the server works.
        own_model_is_null: whether f_0 learns from the public set alone, so that no private image can reach it.
        averages: whether the server needs no more of the uploads than their mean, and gets it by `Channel.mean`; an
            instance may set it by its settings.
        beside: architectures of models that each client trains beside its own and that never travel, see
            `ModelBank.beside`; an instance may set it by its settings.
        outsiders: whether it needs people who are no targets, and of targets no public image of the sensitive domain.
        rounds: T, how many rounds there will be; whoever plays the scheme says it.
    """

    Settings: ClassVar[type[SchemeSettings]] = SchemeSettings
    uploads: ClassVar[tuple[str, str]]
    upload_kind: UploadKind = "logits"
    labelled: ClassVar[bool] = True
    optimizer: ClassVar[Literal["adam", "sgd"]] = "adam"
    one_architecture: ClassVar[bool] = False
    uploads_at_once: ClassVar[int] = 1
    own_model_is_null: ClassVar[bool] = False
    averages: bool = False
    beside: Sequence[str] = ()
    outsiders: ClassVar[bool] = False
    rounds: int = 1

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    @property
    def provides(self) -> frozenset[str]:
        """What a server's view of this scheme can answer; see `ServerView.provides`."""
        return provided(self.upload_kind, self.labelled)

    @property
    @abstractmethod
    def actions(self) -> Mapping[str, Action]:
        """Client actions by name. Each answers with one payload for each client of the bank, in order."""

    def form(
        self, action: str, message: Payload, public: int, num_classes: int, dtype: torch.dtype = torch.float32
    ) -> Form:
        """What a valid answer to a message looks like: an action that uploads nothing is answered by nothing.

        Args:
            action: a name of `actions`.
            message: what the server sent.
            public: N, the number of public images.
            num_classes: J.
            dtype: what models compute in.
        """
        carrier, tensor = self.uploads
        if action != carrier:
            return Form()
        if self.upload_kind in MODEL_KINDS:
            return Form({name: Shape(v.dtype, tuple(v.shape)) for name, v in message.tensors.items()})
        rows = len(message.tensors["rows"]) if "rows" in message.tensors else public
        return Form({tensor: Shape(dtype, (rows, num_classes), self.upload_kind == "probabilities")})

    def begin(self, channel: Channel, server: Server) -> None:
        """What happens before round 1; nothing by default."""
        return None

    @abstractmethod
    def serve(self, round: int, channel: Channel, server: Server) -> None:
        """One round of the server, in a straight line. Rounds count from 1."""

    @abstractmethod
    def planned_epochs(self, clients: int, rounds: int) -> Epochs:
        """How long all models train in all, for the progress bar and the plan; with two clients or more, each adds as
        much as any other."""

    def outside_work(
        self, scale: Scale, model: Callable[[], nn.Module], device: torch.device
    ) -> tuple[int, Sequence[Work]]:
        """What somebody who is no client does in all rounds of a federation, for `logitleak validate`; nothing by
        default.

        Args:
            scale: how large it is.
            model: makes a client's model.
            device: where models are trained.

        Returns:
            how many images it learns from with such a model, one counted as often as it is shown, and pieces of what it
            does besides.
        """
        return 0, ()

    def outside_memory(self, scale: Scale, model: nn.Module) -> int:
        """About how many bytes it holds; ``model`` is a client's, with or without numbers."""
        return 0

    def held(self) -> dict[str, Tensor]:
        """What a participant that attacks holds after a round, which is put on record beside what travelled: "labels"
        int64 [w] and "images" uint8 [w, s, 3, H, W] of each; nothing by default."""
        return {}

    def state(self) -> dict[str, Tensor]:
        """What the server keeps between rounds besides its model; needed to go on after an interruption."""
        return {}

    def load_state(self, table: Mapping[str, Tensor]) -> None:
        """Take back what `state` gave."""
        return None
