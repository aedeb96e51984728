"""Closed-form PLI: the best linear inversion, with no training at all.

Take the inversion linear, G(z) = Wᵀ[z; 1], with z the paired outputs. Eq. 3 together with Eq. 10 and a ridge
term is then a least-squares problem with one solution. With Z the public inputs, X the public images, X̄
their priors, Ẑ the target inputs (Eq. 6) and X̄_L the target priors, all centered,

    [(1 + γ) ZᵀZ + γ ẐᵀẐ + λ s I] W = Zᵀ(X + γ X̄) + γ Ẑᵀ X̄_L,    s = mean of the diagonal of ZᵀZ.

The target inputs lie outside the data: the solution's direction is right and its length is not, so each
reconstruction's departure from the mean image is rescaled to a fixed share of the public images' own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor

from logitleak.attacks import rehearsal
from logitleak.attacks.base import Attack, AttackSettings
from logitleak.attacks.departures import Departures
from logitleak.attacks.features import (
    Outputs,
    Q,
    assumed,
    input_width,
    needed,
    newest_outputs,
    paired,
    target_inputs,
)
from logitleak.attacks.linear import Priors, linear_memory, pulled, rescale, shares
from logitleak.attacks.validation import (
    GRID,
    PROJECTIONS,
    TEMPERATURES,
    MockScore,
    gcv_scores,
    mock_target_scores,
    project,
)
from logitleak.machine.forecast import FLOAT, Scale, Work
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
        tune: how what is null is chosen, from public data alone, anew in every round and the same for all clients.
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
    looks_back = True
    tuned_by_default = True
    tunable: ClassVar = (
        {"tau": (1.0, 3.0, 10.0, 30.0), "lam": (0.01, 0.1, 1.0)},
        {"gamma": (0.0, 0.1, 1.0)},
        {"contrast": (0.7, 0.5, 0.9)},
    )

    def __init__(self, settings: Any, prior: Prior, seed: int, device: torch.device | str = "cpu") -> None:
        super().__init__(settings, prior, seed, device)
        self.needs = needed(self.settings.q)
        self.assumptions = assumed(self.settings.q)
        if self.settings.tune == "mock-targets" and None in (self.settings.tau, self.settings.lam):
            self.assumptions += ("The server knows which public images show the same person (for tuning).",)
        self.round, self.tau, self.lam = 0, 0.0, 0.0  # observe sets them
        self._kept: Departures | None = None
        self._read: tuple[tuple[int, int], tuple[Tensor, Outputs]] | None = None

    @property
    def uses_prior(self) -> bool:
        return self.settings.gamma > 0

    def memory(self, scale: Scale) -> int:
        """See `Attack.memory`: outputs of both sides, what they are made into, and what is solved."""
        width = input_width(self.settings.q, scale.classes)
        solved = linear_memory(scale.sensitive, width, scale.targets, scale.image)
        tuned = 0
        if None in (self.settings.tau, self.settings.lam):  # two matrices of the inputs' size, and residuals
            side = min(scale.sensitive, width)
            tuned = (
                scale.sensitive * (width + 2 * len(GRID) * PROJECTIONS) * FLOAT + (width + side) * side * 8
            )
        return super().memory(scale) + solved + tuned

    def work(self, scale: Scale, rounds: Sequence[int]) -> Sequence[Work]:
        """See `Attack.work`: a regression for each client after every round, and the choice of τ and λ before it."""
        s, width, solved = (
            self.settings,
            input_width(self.settings.q, scale.classes),
            scale.clients * len(rounds),
        )
        found = [
            rehearsal.solving(scale.sensitive, [width] * solved, scale.targets, self.device),
            rehearsal.combining(scale, self.device, solved),
            rehearsal.choosing(scale, s.beta, len(rounds)),
        ]
        if None not in (s.tau, s.lam):
            return found
        tried = solved * (len(TEMPERATURES) if s.tau is None and s.tune == "mock-targets" else 1)
        return [*found, rehearsal.validating(scale.sensitive, width, scale.people, self.device, tried)]

    def observe(self, view: ServerView, round: int) -> None:
        self.round = round
        self.tau, self.lam = self._tune(view)

    def reconstruct_client(self, view: ServerView, client: int) -> Tensor | None:
        s, known = self.settings, view.knowledge
        rows, z, target = self._inputs(view, client, self.tau, known.target_labels)
        self.listener(self.round, client, 1, float("nan"))
        if len(rows) < 2:
            return None
        images = self._images(view, rows)
        if self.uses_prior:
            priors = self._priors(view, rows)
            departures = pulled(z, target, images, self.lam, s.gamma, priors).float()
        else:
            departures = images.combined(shares(z, target, self.lam))
        if s.contrast is not None:
            departures = rescale(departures, s.contrast * images.spread)
        return (images.mean + departures).clamp(0, 1).view(-1, *known.public.images.shape[1:]).cpu()

    def _inputs(
        self, view: ServerView, client: int, tau: float, labels: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Public rows [n], their inputs [n, d], and the inputs of some labels [m, d], centered alike."""
        s, known = self.settings, view.knowledge
        rows, outputs = self._outputs(view, client)
        inputs = paired(outputs, tau)
        center = inputs.mean(0) if len(inputs) else torch.zeros(inputs.shape[1])
        target = target_inputs(labels, known.num_classes, s.alpha, s.q)
        return rows, (inputs - center).to(self.device), (target - center).to(self.device)

    def _outputs(self, view: ServerView, client: int) -> tuple[Tensor, Outputs]:
        """What is on record of this client up to this round; kept, since every temperature begins with it."""
        if self._read is None or self._read[0] != (client, self.round):
            wanted = view.knowledge.public.rows("sensitive")
            self._read = (
                (client, self.round),
                newest_outputs(view, client, self.round, self.settings.q, wanted),
            )
        return self._read[1]

    def _images(self, view: ServerView, rows: Tensor) -> Departures:
        """Some public images; the last ones are kept, since most clients answer for the same rows."""
        if self._kept is None or not torch.equal(self._kept.rows, rows):
            self._kept = Departures(view.knowledge.public, rows, self.device)
        return self._kept

    def _tune(self, view: ServerView) -> tuple[float, float]:
        """τ and λ of this round: as given, or chosen from public images. They are the same for all clients, so
        that Eq. 11 compares clients and not settings."""
        s = self.settings
        if s.tau is not None and s.lam is not None:
            return s.tau, s.lam
        weights = GRID if s.lam is None else (s.lam,)
        if s.tune == "gcv" or view.knowledge.public.labels is None:
            tau = s.tau or 3.0
            total = torch.zeros(len(weights), dtype=torch.float64)
            for client in range(view.clients):
                rows, z, _ = self._inputs(view, client, tau, view.knowledge.target_labels)
                if len(rows) < 2:
                    continue
                blocks = (block for _, block in self._images(view, rows).by_pixels())
                total += gcv_scores(z, blocks, weights)
            chosen, heard = (tau, weights[int(total.argmin())]), bool(total.any())
        else:
            chosen, heard = self._mock_targets(view, view.knowledge.public.labels, weights)
        entry: dict[str, Any] = {"round": self.round, "tau": chosen[0], "lambda": chosen[1]}
        if not heard:  # then all candidates are equal, and the first was no choice
            entry = {"round": self.round, "not tuned": "no client has answered so far"}
        self.trace.choices.setdefault("tuned", []).append(entry)
        return chosen

    def _mock_targets(
        self, view: ServerView, labels: Tensor, weights: tuple[float, ...]
    ) -> tuple[tuple[float, float], bool]:
        """The τ and λ with the best mean score of all clients, and whether any was heard."""
        taus = TEMPERATURES if self.settings.tau is None else (self.settings.tau,)
        candidates = [(tau, lam) for tau in taus for lam in weights]
        scores, heard = [MockScore(0.0, 0.0)] * len(candidates), False
        people = torch.unique(labels[view.knowledge.public.rows("sensitive")])
        for client in range(view.clients):
            found: list[MockScore] = []
            for tau in taus:
                rows, z, mock = self._inputs(view, client, tau, people)
                if len(rows) < 2:
                    break
                if not found:  # rows and images are the same for every temperature
                    identities, where = torch.unique(labels[rows], return_inverse=True)
                    seen = project(
                        self._images(view, rows).by_rows(), derive(self.seed, "ridge", "projection")
                    )
                mock = mock[torch.isin(people, identities)]
                found += mock_target_scores(z, seen, where.to(self.device), mock, weights)
            if found:
                scores, heard = [a.plus(b) for a, b in zip(scores, found, strict=True)], True
        return max(zip(scores, candidates, strict=True), key=lambda pair: pair[0])[1], heard

    def _priors(self, view: ServerView, rows: Tensor) -> Priors:
        """The priors of some public rows and of the targets."""
        known = view.knowledge
        images, places = self.prior.estimate_rows(known, rows)
        targets = self.prior.estimate(known, known.target_labels)
        return Priors(
            images.flatten(1).to(self.device), places.to(self.device), targets.flatten(1).to(self.device)
        )
