"""Students that the server trains on what clients uploaded: substitutes of their models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from logitleak.config import FederationConfig
from logitleak.federation.bank import Loss, ModelBank
from logitleak.progress import Progress
from logitleak.schemes.dsfl import soft_cross_entropy
from logitleak.stages.banks import bank_of
from logitleak.types import PublicData, ServerView

EPOCHS = 20
"""How long a student learns, in passes over the public rows (arXiv 2502.08001)."""


@dataclass(frozen=True)
class Students:
    """Outputs on some images.

    Attributes:
        by_source: float32 [K, n, J] of the students of every client, by what they learnt from.
        rivals: float32 [1, n, J] of models that stand for all clients.
    """

    by_source: dict[str, Tensor]
    rivals: dict[str, Tensor]


def train_students(
    view: ServerView, f: FederationConfig, images: Tensor, seed: int, device: torch.device, progress: Progress
) -> Students:
    """Distill every client's uploads, of the last round and of all rounds, and what the server has without them: the
    public labels, and its own outputs.

    Logits are learnt by L1 loss, probabilities by cross entropy, each for `EPOCHS` passes over the rows of a round.

    Args:
        view: the server's view.
        f: how the federation trains, and what models it has.
        images: uint8 [n, 3, H, W], of what students are asked about.
        seed: of the audit.
        device: where they learn.
        progress: where it reports to.
    """
    public = view.knowledge.public
    last, labelled = view.rounds, public.labels is not None
    several = last > 1
    progress.stage("students", (2 if several else 1) + labelled + ("server_logits" in view.provides))
    found, rivals = {}, {}

    def fitted(architectures: Sequence[str], lessons: Iterable[Lesson], why: str) -> Tensor:
        said = []  # lessons come one by one: a client's uploads of all rounds may be gigabytes
        for member, (architecture, lesson) in enumerate(zip(architectures, lessons, strict=True)):
            names, classes = [f"student-{member}"], view.knowledge.num_classes
            bank = bank_of(f, architecture, names, public.image_size, classes, seed, device)
            said.append(lesson.teach(bank, public, why, images))
        progress.advance(why)
        return torch.stack(said)

    clients = [f.model_of(k) for k in range(view.clients)]
    found["last round"] = fitted(clients, (_newest(view, k) for k in range(view.clients)), "last round")
    if several:
        rounds = list(range(1, last + 1))
        found["all rounds"] = fitted(
            clients, (_uploads(view, k, rounds) for k in range(view.clients)), "all rounds"
        )
    everything = torch.arange(len(public))
    if public.labels is not None:
        lesson = Lesson(everything, public.labels, F.cross_entropy, EPOCHS)
        rivals["public labels"] = fitted([f.server_model], [lesson], "public labels")
    if "server_logits" in view.provides:
        lesson = Lesson(everything, view.server_logits(last), F.l1_loss, EPOCHS)
        rivals["student of the server"] = fitted([f.server_model], [lesson], "server")
    return Students(found, rivals)


@dataclass(frozen=True)
class Lesson:
    """What one student learns: public rows, what is said of each, how they are compared, and how often."""

    rows: Tensor
    targets: Tensor
    loss: Loss
    epochs: int

    def teach(self, bank: ModelBank, public: PublicData, why: str, images: Tensor) -> Tensor:
        """Train the bank's only model, and give its outputs on the images, [n, J]."""
        if len(self.rows):
            bank.fit([public.images[self.rows]], [self.targets], self.loss, self.epochs, ("student", why))
        return bank.predict(images)[0]


def _newest(view: ServerView, client: int) -> Lesson:
    """A client's upload of the last round, or of the last one that it took part in."""
    found = _uploads(view, client, [view.rounds])
    for round in range(view.rounds - 1, 0, -1):
        if len(found.rows):
            break
        found = _uploads(view, client, [round])
    return found


def _uploads(view: ServerView, client: int, rounds: Sequence[int]) -> Lesson:
    """A client's uploads of some rounds, one after the other; of more rounds each is passed over less often."""
    heard = [view.client_logits(client, round) for round in rounds]
    rows, values = torch.cat([rows for rows, _ in heard]), torch.cat([values for _, values in heard])
    epochs = max(1, EPOCHS // len(rounds))
    if view.upload_kind == "probabilities":
        return Lesson(rows, values.softmax(1), soft_cross_entropy, epochs)
    return Lesson(rows, values, F.l1_loss, epochs)
