"""What travels, and what an attacker may know. Everybody imports this file; it imports torch only.

The server's side is complete in a `ServerView`: an attack is a function of one and of nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from torch import Tensor

Scalar = int | float | str

UploadKind = Literal["logits", "probabilities", "weights", "gradients"]
"""What clients give away in a round."""

Domain = Literal["sensitive", "insensitive", "all"]
"""Which part of the public set: D_0, D_a, or both."""

MODEL_KINDS = ("weights", "gradients")
"""The kinds that are one tensor for each parameter of a model, and no outputs on the public set."""


@dataclass(frozen=True)
class Payload:
    """One message: named tensors and scalars, and nothing that could hold anything else."""

    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    scalars: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True)
class Absence:
    """Why a client has no answer in an exchange, in a few words: it stayed away, came late or sent rubbish."""

    reason: str


@dataclass(frozen=True)
class Summed:
    """What is left of uploads of which the mean alone is seen.

    Attributes:
        mean: of those who answered.
        nbytes: by client, how many bytes it sent.
    """

    mean: Payload
    nbytes: Mapping[int, int]


@dataclass(frozen=True)
class Event:
    """One exchange: the server sent ``sent`` and got one payload from each client that answered validly, or, behind an
    aggregator that hides single uploads, what is in ``summed``.

    ``absent`` says of every other client why its answer is missing.
    """

    round: int
    action: str
    sent: Payload
    received: Mapping[int, Payload]
    absent: Mapping[int, str] = field(default_factory=dict)
    summed: Summed | None = None


@dataclass(frozen=True)
class ClientData:
    """The private set D_k of one client: images uint8 [n, 3, H, W] and labels int64 [n]."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class PublicData:
    """The public set D_p = D_0 ∪ D_a, which everybody has.

    Attributes:
        images: uint8 [N, 3, H, W].
        labels: int64 [N], or None where the public set is unlabelled (DS-FL).
        sensitive: bool [N]; True marks D_0 (sensitive domain, non-targets), False marks D_a.
    """

    images: Tensor
    labels: Tensor | None
    sensitive: Tensor

    def labelled(self) -> LabelledPublicData:
        """The same set, with the type that says that its labels are there.

        Raises:
            ValueError: it has none.
        """
        if self.labels is None:
            raise ValueError("this needs a labelled public set, and the public set has no labels")
        return LabelledPublicData(self.images, self.labels, self.sensitive)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return int(self.images.shape[-2]), int(self.images.shape[-1])

    def rows(self, which: Domain) -> Tensor:
        """Row ids int64 of ``"sensitive"`` (D_0), ``"insensitive"`` (D_a) or ``"all"`` (D_p).

        Raises:
            ValueError: another name.
        """
        if which == "all":
            return torch.arange(len(self))
        if which not in ("sensitive", "insensitive"):
            raise ValueError(f'rows are "sensitive", "insensitive" or "all", not {which!r}')
        return torch.nonzero(self.sensitive if which == "sensitive" else ~self.sensitive).flatten()

    def pixels(self, rows: Tensor) -> Tensor:
        """The images of these rows as float32 [n, 3, H, W] in [0, 1]."""
        return self.images[rows].to(torch.float32).div_(255)


@dataclass(frozen=True)
class LabelledPublicData(PublicData):
    """A public set whose labels are known: what labelled schemes and per-label priors take."""

    labels: Tensor


@dataclass(frozen=True)
class Knowledge:
    """What the server knows beyond the messages. Every assumption is a named field.

    Attributes:
        public: the public set.
        target_labels: int64 [T], ascending: labels whose sensitive images are private.
        num_classes: J, the length of a logit vector.
    """

    public: PublicData
    target_labels: Tensor
    num_classes: int


@dataclass(frozen=True)
class GlobalModel:
    """The model that the server sent out in a round of a scheme that shares weights (FedAvg).

    Attributes:
        architecture: a registered model name.
        lr: the learning rate of the clients' gradient descent.
        weights: parameters by name.
    """

    architecture: str
    lr: float
    weights: Mapping[str, Tensor]


class ServerView(Protocol):
    """All that an attack ever gets: its knowledge, the uploads, and the server's own model outputs."""

    @property
    def knowledge(self) -> Knowledge: ...

    @property
    def clients(self) -> int:
        """K, the number of clients."""

    @property
    def rounds(self) -> int:
        """T, the number of finished rounds."""

    @property
    def provides(self) -> frozenset[str]:
        """What this view can answer: a subset of {"logits", "gradients", "server_logits", "labels", "shadows",
        "generated"}."""

    @property
    def upload_kind(self) -> UploadKind:
        """What clients gave away."""

    @property
    def shadows(self) -> int:
        """How many clients the server trained by itself, on public data alone; 0 where it has not."""

    def client_logits(self, client: int, round: int) -> tuple[Tensor, Tensor]:
        """What client k uploaded in round t: public row ids int64 [n], and values float32 [n, J]. A client that
        was absent uploaded no row.

        Where a scheme sends probabilities their logarithm is returned, so that softmax(value / τ) is the
        tempered distribution either way.
        """

    def server_logits(self, round: int) -> Tensor:
        """The server's own model on the public set after its training in round t: float32 [N, J] (Eq. 1)."""

    def shadow_logits(self, shadow: int, round: int) -> Tensor:
        """What a client of the server's own, trained on public data alone and taught what the server sent out, would
        have uploaded in round t: float32 [N, J]."""

    def global_model(self, round: int) -> GlobalModel:
        """The model that the server sent out in round t, where the scheme shares weights."""

    def client_gradients(self, client: int, round: int) -> Mapping[str, Tensor]:
        """The sum of the gradients of client k's steps in round t, (old − new weights) / learning rate, by
        parameter, where the scheme shares weights; empty where the client was absent."""

    def generated(self, round: int) -> tuple[Tensor, Tensor]:
        """What a participant that attacks held after round t: labels int64 [w], and images float32 [w, s, 3, H, W] in
        [0, 1] of each; none before it had made any."""


def as_logits(outputs: Tensor, kind: UploadKind) -> Tensor:
    """What travelled as what softmax is taken of: probabilities become their logarithms (see
    `ServerView.client_logits`), and logits are that already."""
    return outputs.clamp_min(torch.finfo(torch.float32).tiny).log() if kind == "probabilities" else outputs


def provided(kind: UploadKind, labelled: bool) -> frozenset[str]:
    """What a view of such uploads can answer."""
    uploads = "gradients" if kind in MODEL_KINDS else "logits"
    return frozenset({uploads, "server_logits"} | ({"labels"} if labelled else set()))


@dataclass(frozen=True)
class Reconstructions:
    """What an attack claims to have rebuilt.

    Attributes:
        images: float32 [K, T, 3, H, W] in [0, 1], one for each client and target.
        labels: int64 [T], ascending.
        chosen: int64 [T], the client chosen for each target (Eq. 11).
        scores: float32 [K, T], the left-hand side of Eq. 11; smaller is better.
    """

    images: Tensor
    labels: Tensor
    chosen: Tensor
    scores: Tensor

    @property
    def best(self) -> Tensor:
        """The chosen reconstruction of each target, float32 [T, 3, H, W]."""
        return self.images[self.chosen, torch.arange(len(self.labels))]


def check_rows(rows: Sequence[int] | Tensor, total: int) -> None:
    """Raise ValueError unless every row id is in ``range(total)``."""
    ids = torch.as_tensor(rows)
    if ids.numel() and (int(ids.min()) < 0 or int(ids.max()) >= total):
        raise ValueError(f"row ids must be in 0..{total - 1}")
