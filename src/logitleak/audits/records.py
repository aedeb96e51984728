"""Was this image used? Two threat models that are never mixed.

*Never queried*: the server has the transcript and nothing else. What a client says of public rows that look like the
candidate is read off by the best linear map from images to the client's confidence gap; or by students that are
distilled from its uploads.

*Queried*: the server got the client's outputs on the candidate itself, because it put it into the public set or could
ask. A member is believed in more than public images of its class are, by this client against the others: what a client
says of public rows of the class is subtracted, since who holds much of a class believes in all of it, and then the
same of the other clients, since some images are easier for everybody.

Rivals, in both: LiRA with the other clients as shadows (Co-op LiRA) and with their students (Distillation LiRA), both
of arXiv 2502.08001: Φ((s_k − mean)/deviation) of logit-scaled confidences over the other clients.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from logitleak.attacks.references import reference_of
from logitleak.audits.base import Asked, Audit, AuditSettings
from logitleak.types import ServerView


class RecordsSettings(AuditSettings):
    """How candidates are read off.

    Attributes:
        tau: softmax temperature of the gap that is read off.
        lam: ridge weight of the linear map, relative to the mean of the Gram matrix' diagonal.
        most: at most so many public rows, the first ones, are looked at.
    """

    tau: PositiveFloat = 3.0
    lam: PositiveFloat = 0.1
    most: PositiveInt = 4000


class NeverQueried(Audit):
    """Scores candidates by the transcript alone."""

    Settings = RecordsSettings
    answer = "records"
    question = "Was this image used? (the server never asked about it)"
    needs_images = True
    needs_candidates = True
    assumptions = (
        "The server has the candidate and its label, and asks whether a certain client used it; it has asked nobody.",
    )
    settings: RecordsSettings

    def probe(self, view: ServerView, asked: Asked) -> Mapping[str, Tensor]:
        """See `Audit.probe`: "linear" is ours, of the first round; students are there where a lab trained them."""
        found = {"linear": self._linear(view, asked, 1)}
        if view.rounds > 1:
            found["linear, last round"] = self._linear(view, asked, view.rounds)
        for name, said in asked.students.items():
            if len(said) > 1:
                levels = logit_scaled(said, asked.labels)
                found[f"students, {name}"] = _own(levels - _others(levels)[0], asked.clients)
                found[f"Distillation LiRA, {name}"] = lira(levels, asked.clients)
        return found

    def _linear(self, view: ServerView, asked: Asked, round: int) -> Tensor:
        """Each client's confidence gap in the candidate's class, predicted at the candidate."""
        scores = torch.full((len(asked),), torch.nan, dtype=torch.float64)
        reference = reference_of("others" if view.clients > 1 else "server", self.settings.tau, "all")
        public = view.knowledge.public
        x = asked.images.flatten(1).float().div(255)
        for client in asked.clients.unique().tolist():
            rows, gap = reference.gap(view, client, round)
            rows, gap = rows[: self.settings.most], gap[: self.settings.most]
            mine = torch.nonzero(asked.clients == client).flatten()
            if len(rows) < 2:
                continue
            seen = public.pixels(rows).flatten(1)
            mean = seen.mean(0)
            weights = ridge_weights(seen - mean, x[mine] - mean, self.settings.lam)
            level = gap.mean(0)
            predicted = weights @ (gap - level) + level
            scores[mine] = predicted.gather(1, asked.labels[mine][:, None])[:, 0].double()
        return scores


class Queried(Audit):
    """Scores candidates by what clients said of them."""

    answer = "records"
    question = "Was this image used? (the server asked for outputs on it)"
    needs_candidates = True
    assumptions = (
        "The server has the candidate and its label, and got every client's output on it, by asking or by putting it "
        "into the public set.",
    )

    def probe(self, view: ServerView, asked: Asked) -> Mapping[str, Tensor]:
        """See `Audit.probe`: "against class and others" is ours, over all rounds."""
        ours = []
        for round, replies in sorted(asked.replies.items()):
            levels = logit_scaled(replies, asked.labels)
            beyond = levels - self._class_level(view, round, asked.labels)
            ours.append(_own(beyond - _others(beyond)[0], asked.clients))
        last = max(asked.replies)
        levels = logit_scaled(asked.replies[last], asked.labels)
        found = {"against class and others": torch.stack([_scaled(one) for one in ours]).mean(0)}
        found["confidence"] = _own(levels, asked.clients)
        if len(levels) > 1:
            found["Co-op LiRA"] = lira(levels, asked.clients)
        return found

    def refusal(self, view: ServerView, asked: Asked) -> str | None:
        """See `Audit.refusal`."""
        if why := super().refusal(view, asked):
            return why
        if not asked.replies:
            return (
                "It needs clients' outputs on the candidates, and none were recorded; simulate in another folder, "
                "without defenses, with --set candidates=200."
            )
        return None

    def _class_level(self, view: ServerView, round: int, labels: Tensor) -> Tensor:
        """What each client says of public rows of every candidate's class, float64 [K, n]; its mean over all rows where
        a class has none, what the others say on average where a client is silent in this round, and 0 where there are
        no labels or no rows."""
        levels = torch.zeros(view.clients, len(labels), dtype=torch.float64)
        known = view.knowledge.public.labels
        if known is None:
            return levels
        heard = torch.zeros(view.clients, dtype=torch.bool)
        for client in range(view.clients):
            rows, values = view.client_logits(client, round)
            if len(rows) == 0:
                continue
            heard[client] = True
            own = logit_scaled(values[None], known[rows])[0]
            classes = view.knowledge.num_classes
            count = torch.bincount(known[rows], minlength=classes)
            total = torch.zeros(classes, dtype=torch.float64).index_add_(0, known[rows], own)
            mean = torch.where(count > 0, total / count, own.mean())
            levels[client] = mean[labels]
        if bool(heard.any()):
            levels[~heard] = levels[heard].mean(0)
        return levels


def logit_scaled(logits: Tensor, labels: Tensor) -> Tensor:
    """log p − log(1 − p) of the class that each image shows (Carlini et al., 2022), float64 [K, n].

    Args:
        logits: float32 [K, n, J].
        labels: int64 [n].
    """
    p = logits.double().log_softmax(2)
    own = p.gather(2, labels.expand(len(p), -1)[..., None])
    rest = p.scatter(2, labels.expand(len(p), -1)[..., None], -torch.inf).logsumexp(2)
    return (own[..., 0] - rest).clamp(-1e4, 1e4)


def lira(levels: Tensor, clients: Tensor) -> Tensor:
    """Φ((s_k − μ)/σ) with mean and deviation over the other clients, float64 [n]; with one other client, s_k − s_other.

    Args:
        levels: float64 [K, n], logit-scaled confidences.
        clients: int64 [n], k of each candidate.
    """
    mean, deviation = _others(levels)
    if len(levels) < 3:
        return _own(levels - mean, clients)
    return _own(torch.special.ndtr((levels - mean) / deviation.clamp_min(1e-12)), clients)


def ridge_weights(seen: Tensor, asked: Tensor, lam: float) -> Tensor:
    """What each of n seen images [n, P] weighs in the prediction at each of m asked ones [m, P]: [m, n], of the linear
    ridge regression with weight ``lam`` relative to the mean of the Gram matrix' diagonal."""
    gram = seen @ seen.T
    gram.diagonal().add_(lam * gram.diagonal().mean().clamp_min(1e-12))
    return torch.linalg.solve(gram, seen @ asked.T).T


def _others(levels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation over the other clients, [K, n] each."""
    count = len(levels) - 1
    if count < 1:
        return torch.zeros_like(levels), torch.ones_like(levels)
    mean = (levels.sum(0) - levels) / count
    square = (levels.square().sum(0) - levels.square()) / count
    return mean, (square - mean.square()).clamp_min(0).sqrt()


def _own(values: Tensor, clients: Tensor) -> Tensor:
    """The value of each candidate's own client, [n]."""
    return values[clients, torch.arange(len(clients))]


def _scaled(values: Tensor) -> Tensor:
    spread: Any = values.std() if len(values) > 1 else torch.ones(())
    return values / spread.clamp_min(1e-12)
