"""Two models that learn the same private images and each other: adaptive mutual distillation (Wu et al., 2022)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from logitleak.errors import UserError
from logitleak.federation.bank import ModelBank
from logitleak.federation.batches import cut, normalizes_batches
from logitleak.federation.companions import Companion
from logitleak.models.heads import features_of
from logitleak.schemes.fedgems import divergence
from logitleak.seeds import derive
from logitleak.types import ClientData

MENTOR = "mentor"


class Mentor(nn.Module):
    """A classifier, and the matrix W that brings a mentee's hidden results to its own.

    Args:
        classifier: from images to logits.
        transform: W [hidden, hidden]; None where hidden results are not compared.
    """

    def __init__(self, classifier: nn.Module, transform: Tensor | None) -> None:
        super().__init__()
        self.classifier = classifier
        self.transform = None if transform is None else nn.Parameter(transform)


def mentors_of(bank: ModelBank, architecture: str, lr: float, hidden: int) -> list[Companion]:
    """The mentor of each of a bank's models; made when it is first asked for.

    Args:
        bank: the mentees.
        architecture: of the mentors.
        lr: of their Adam.
        hidden: of how many numbers hidden results are; 0 where they are not compared.
    """

    def make(member: str | int) -> Companion:
        name, transform = f"{member}/{MENTOR}", None
        if hidden:
            transform = torch.empty(hidden, hidden, dtype=bank.dtype)
            nn.init.xavier_uniform_(transform, generator=derive(bank.seed, "init", "transform", name))
            transform = transform.to(bank.device)
        mentor = Mentor(bank.begun(architecture, name), transform)
        return Companion(mentor, replace(bank.optimization, kind="adam", lr=lr).over(mentor))

    return bank.beside(MENTOR, make)


@dataclass(frozen=True)
class Said:
    """What a model makes of a batch: logits [b, J], and its hidden results [b, hidden], or None."""

    logits: Tensor
    features: Tensor | None

    def detached(self) -> Said:
        """The same as constants."""
        return Said(self.logits.detach(), None if self.features is None else self.features.detach())


def teach(
    bank: ModelBank,
    k: int,
    mentor: Companion,
    data: ClientData,
    epochs: int,
    purpose: Sequence[str | int],
    hidden: int,
    tell: Callable[[int, float], None],
) -> None:
    """Have a bank's model and its mentor learn private images together, each by its own loss and its own optimizer.

    Args:
        bank, k: the mentees, and which of them.
        mentor: beside it.
        data: D_k.
        epochs: passes over it.
        purpose: names this training, as in `ModelBank.fit`; images come in the order in which that would show them.
        hidden: see `mentors_of`.
        tell: called with the epoch from 1 and the mentee's mean loss, after each; not without images.

    Raises:
        UserError: a model normalizes batches and has a single image.
    """
    both = (bank.models[k], mentor.model)
    normalizes = any(normalizes_batches(model) for model in both)
    if normalizes and len(data) == 1:
        raise UserError(
            f"Client {bank.members[k]} has a single image to learn from, of which BatchNorm has no statistics; give it "
            "more images, or normalize by GroupNorm."
        )
    images, labels = data.images.to(bank.device), data.labels.to(bank.device)
    order = derive(bank.seed, "order", *purpose, bank.members[k])
    with bank.noise(*purpose, bank.members[k]):
        for epoch in range(1, epochs + 1) if len(data) else ():
            total = 0.0
            places = torch.randperm(len(data), generator=order).to(bank.device)
            for rows in cut(places, bank.optimization.batch, normalizes):
                total += _step(bank, k, mentor, images[rows], labels[rows], hidden) * len(rows)
            tell(epoch, total / len(data))
    for optimizer in (bank.optimizers[k], mentor.optimizer):
        optimizer.zero_grad()


def _step(bank: ModelBank, k: int, mentor: Companion, images: Tensor, labels: Tensor, hidden: int) -> float:
    """One step of both on a batch; the mentee's loss."""
    assert isinstance(mentor.model, Mentor)
    transform = mentor.model.transform
    pupil = _said(bank, bank.models[k].train(), images, hidden)
    teacher = _said(bank, mentor.model.train().classifier, images, hidden)
    # each model learns by its own loss alone: to it, the other and what belongs to the other are constants
    constant = None if transform is None else transform.detach()
    loss = own_loss(pupil, teacher.detached(), labels, constant)
    other = own_loss(teacher, pupil.detached(), labels, transform, turned=True)
    for optimizer in (bank.optimizers[k], mentor.optimizer):
        optimizer.zero_grad()
    torch.autograd.backward([loss, other])
    for optimizer in (bank.optimizers[k], mentor.optimizer):
        optimizer.step()
    return float(loss.detach())


def own_loss(
    own: Said, other: Said, labels: Tensor, transform: Tensor | None, turned: bool = False
) -> Tensor:
    """What one of two models learns by: its cross entropy, and, divided by the sum of both models' cross entropies, the
    divergence from the other's outputs and the distance of hidden results: the surer both are, the more they teach.

    Args:
        own, other: what it and the other said of a batch.
        labels: int64 [b].
        transform: W [hidden, hidden], of the mentee's hidden results; None where they are not compared.
        turned: whether this is the mentor's loss.
    """
    task = F.cross_entropy(own.logits, labels)
    strength = task + F.cross_entropy(other.logits, labels)
    shared = divergence(other.logits, own.logits).mean()
    if transform is not None and own.features is not None and other.features is not None:
        pupil, teacher = (other, own) if turned else (own, other)
        assert pupil.features is not None
        assert teacher.features is not None
        shared = shared + F.mse_loss(F.linear(pupil.features, transform), teacher.features)
    return task + shared / strength.clamp_min(torch.finfo(strength.dtype).tiny)


def _said(bank: ModelBank, model: nn.Module, images: Tensor, hidden: int) -> Said:
    if not hidden:
        return Said(bank.logits(model, images), None)
    rough = bank.optimization.precision == "bf16"
    with torch.autocast(bank.device.type, torch.bfloat16, enabled=rough):
        logits, features = features_of(model, images, bank.num_classes)
    # averaged over runs of neighbors: W of all 12,800 features of the paper's CNN would be larger than any model here
    pooled = F.adaptive_avg_pool1d(features.to(bank.dtype)[:, None], hidden)[:, 0]
    return Said(logits.to(bank.dtype), pooled)
