"""Closed-form PLI: the best linear inversion, with no training at all.

Take the inversion linear, G(z) = Wᵀ[z; 1], with z the paired outputs. Eq. 3 together with Eq. 10 and a ridge
term is then a least-squares problem with one solution. With Z the public inputs, X the public images, X̄
their priors, Ẑ the target inputs (Eq. 6) and X̄_L the target priors, all centered,

    [(1 + γ) ZᵀZ + γ ẐᵀẐ + λ s I] W = Zᵀ(X + γ X̄) + γ Ẑᵀ X̄_L,    s = mean of the diagonal of ZᵀZ.

The target inputs lie outside the data: the solution's direction is right and its length is not, so each
reconstruction's departure from the mean image is rescaled to a fixed share of the public images' own.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor

from logitleak.attacks.base import Attack, AttackSettings
from logitleak.attacks.features import Q, needed, public_inputs, target_inputs
from logitleak.attacks.validation import (
    GRID,
    TEMPERATURES,
    MockScore,
    generalized_cross_validation,
    mock_target_scores,
    project,
)
from logitleak.priors.base import Prior
from logitleak.seeds import derive
from logitleak.types import ServerView


class RidgeSettings(AttackSettings):
    """Hyper-parameters of the closed form.

    Attributes:
        alpha: weight α of the entropy in Q, Eq. 4.
        gamma: weight γ of the prior, Eq. 3 and 10.
        q: which terms of Q are used.
        tau: softmax temperature τ; null lets ``tune`` choose it.
        lam: ridge weight λ relative to s; null lets ``tune`` choose it.
        tune: how what is null is chosen, from public data alone, anew for every client and round.
            "mock-targets": public identities play the target, see `validation`; needs labels, and falls back
            to "gcv" without. "gcv": λ by generalized cross-validation on D_0, and τ = 3.
        contrast: the share of the public images' standard deviation that a reconstruction's departure from
            the mean image is rescaled to; null leaves the length as solved.
    """

    tau: PositiveFloat | None = None
    alpha: PositiveFloat = 5.0
    gamma: NonNegativeFloat = 0.0
    q: Q = "full"
    lam: PositiveFloat | None = None
    tune: Literal["mock-targets", "gcv"] = "mock-targets"
    contrast: PositiveFloat | None = 0.7


class Ridge(Attack):
    """Solves for the linear inversion of the last observed round, separately for every client."""

    Settings = RidgeSettings
    settings: RidgeSettings
    needs = frozenset({"logits", "server_logits"})
    assumptions: ClassVar[tuple[str, ...]] = (
        "The server trains a model of its own on the public set (it is honest but curious).",
        "The server knows which labels are private targets, and which public images are of the sensitive domain.",
    )

    def __init__(self, settings: Any, prior: Prior, seed: int, device: torch.device | str = "cpu") -> None:
        super().__init__(settings, prior, seed, device)
        self.needs = needed(self.settings.q)
        self.round = 0

    def observe(self, view: ServerView, round: int) -> None:
        self.round = round

    def reconstruct_client(self, view: ServerView, client: int) -> Tensor:
        s, known = self.settings, view.knowledge
        rows, _ = view.client_logits(client, self.round)
        rows = rows[torch.isin(rows, known.public.rows("sensitive"))]
        images = known.public.pixels(rows).flatten(1).to(self.device)
        mean = images.mean(0)
        images -= mean
        tau, lam = self._tune(view, client, rows, images)
        z, target = self._inputs(view, client, tau, known.target_labels)
        if s.gamma > 0:
            departures = self._with_prior(view, rows, z, images, target, mean, lam)
        else:
            departures = solve(z, images, target, lam)
        if s.contrast is not None:
            departures = rescale(departures, s.contrast * spread(images))
        self.listener(self.round, client, 1, float("nan"))
        return (mean + departures).clamp(0, 1).view(-1, *known.public.images.shape[1:]).cpu()

    def _inputs(self, view: ServerView, client: int, tau: float, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Public inputs [n, d] and the inputs of some labels [m, d], both centered by the public mean."""
        s, known = self.settings, view.knowledge
        _, inputs = public_inputs(view, client, self.round, tau, s.q, known.public.rows("sensitive"))
        center = inputs.mean(0)
        target = target_inputs(labels, known.num_classes, s.alpha, s.q)
        return (inputs - center).to(self.device), (target - center).to(self.device)

    def _tune(self, view: ServerView, client: int, rows: Tensor, images: Tensor) -> tuple[float, float]:
        """τ and λ: as given, or chosen from the public images."""
        s, labels = self.settings, view.knowledge.public.labels
        if s.tau is not None and s.lam is not None:
            return s.tau, s.lam
        weights = GRID if s.lam is None else (s.lam,)
        if s.tune == "gcv" or labels is None:
            tau = s.tau or 3.0
            z, _ = self._inputs(view, client, tau, view.knowledge.target_labels)
            chosen = tau, s.lam or generalized_cross_validation(z, images, weights)
        else:
            chosen = self._mock_targets(view, client, labels[rows], images, weights)
        entry = {"round": self.round, "client": client, "tau": chosen[0], "lambda": chosen[1]}
        self.trace.choices.setdefault("tuned", []).append(entry)
        return chosen

    def _mock_targets(
        self, view: ServerView, client: int, labels: Tensor, images: Tensor, weights: tuple[float, ...]
    ) -> tuple[float, float]:
        identities, where = torch.unique(labels, return_inverse=True)
        seen = project(images, derive(self.seed, "ridge", "projection"))
        best: MockScore | None = None
        chosen = (3.0, weights[0])
        for tau in TEMPERATURES if self.settings.tau is None else (self.settings.tau,):
            z, mock = self._inputs(view, client, tau, identities)
            scores = mock_target_scores(z, seen, where.to(self.device), mock, weights)
            for lam, score in zip(weights, scores, strict=True):
                if score.better_than(best):
                    best, chosen = score, (tau, lam)
        return chosen

    def _with_prior(
        self,
        view: ServerView,
        rows: Tensor,
        z: Tensor,
        images: Tensor,
        target: Tensor,
        mean: Tensor,
        lam: float,
    ) -> Tensor:
        """The solution with γ > 0. Priors are centered by the mean image, like everything else."""
        known, gamma = view.knowledge, self.settings.gamma
        labels = known.public.labels
        wanted = torch.zeros(len(rows), dtype=torch.int64) if labels is None else labels[rows]
        unique, where = torch.unique(wanted, return_inverse=True)
        public_priors = (self.prior.estimate(known, unique).flatten(1).to(self.device) - mean)[where]
        target_priors = self.prior.estimate(known, known.target_labels).flatten(1).to(self.device) - mean
        gram = z.T @ z
        scale = gram.diagonal().mean()
        system = (1 + gamma) * gram + gamma * target.T @ target
        system.diagonal().add_(lam * scale)
        right = z.T @ (images + gamma * public_priors) + gamma * target.T @ target_priors
        return target @ torch.cholesky_solve(right, torch.linalg.cholesky(system))


def solve(z: Tensor, images: Tensor, target: Tensor, lam: float) -> Tensor:
    """Ẑ W for γ = 0, without ever forming W.

    Args:
        z: [n, d] centered inputs.
        images: [n, p] centered images.
        target: [T, d] centered target inputs.
        lam: ridge weight relative to the mean of the Gram matrix' diagonal.

    Returns:
        [T, p] departures from the mean image.
    """
    gram = z.T @ z
    gram.diagonal().add_(lam * gram.diagonal().mean())
    weights = torch.cholesky_solve(target.T.contiguous(), torch.linalg.cholesky(gram))  # [d, T]
    return (z @ weights).T @ images


def spread(images: Tensor) -> float:
    """Root mean square of centered images: the public images' standard deviation around their mean image."""
    return float(images.square().mean().sqrt())


def rescale(departures: Tensor, length: float) -> Tensor:
    """Scale each row to a given root mean square; rows of zeros stay zeros."""
    size = departures.square().mean(1, keepdim=True).sqrt()
    return departures * (length / size.clamp_min(1e-12))
