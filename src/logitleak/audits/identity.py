"""Who is at which client: how much more a client believes in a target than somebody else with its public knowledge.

After training, the column of a class is pushed up by whoever holds images of it. The score of client k and target j is
the mean of softmax(lᵏ/τ)_j − reference_j over public rows, taken by itself over two kinds of rows: the sensitive images
of others (D_0), where the first upload tells everything if nobody shares classes, and the target's own public images,
which still tell after consensus and where classes are shared. Each is standardized, and all are added. One
subtraction, no training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

from logitleak.attacks.references import Reference, reference_of
from logitleak.audits.base import Asked, Audit, AuditSettings
from logitleak.types import Domain, ServerView

Feature = tuple[Literal["sensitive", "own"], float]
"""A kind of public rows, and a softmax temperature."""

Differences = dict[Feature, Tensor]
"""By feature the mean difference of every client and target, float64 [K, T]; nan where no row is."""


class IdentitySettings(AuditSettings):
    """How believing is measured; the defaults were chosen on synthetic people (docs/results.md).

    Attributes:
        reference: whose outputs are subtracted. "others": the mean of the other clients. "server": f_0. "auto": others
            where there are any, else the server, which is also taken for the sum of many.
        tau_sensitive: softmax temperatures on sensitive images of others.
        tau_own: softmax temperatures on the target's own public images.
        largest: on sensitive images, how many of the largest differences are averaged where clients are seen as a sum
            only; of single clients all are.
    """

    reference: Literal["auto", "others", "server"] = "auto"
    tau_sensitive: list[PositiveFloat] = Field(default=[10.0], min_length=1)
    tau_own: list[PositiveFloat] = Field(default=[3.0, 10.0], min_length=1)
    largest: PositiveInt = 20


class Identity(Audit):
    """Scores every client for every target: over all rounds, and after each."""

    Settings = IdentitySettings
    answer = "membership"
    question = "Who is at which client?"
    assumptions = ("The server knows which labels it asks about.",)
    settings: IdentitySettings

    def probe(self, view: ServerView, asked: Asked) -> Mapping[str, Tensor]:
        """See `Audit.probe`: "all rounds", then every round by itself. Round t counts 1/t: what clients say later, they
        have from everybody."""
        rounds = range(1, view.rounds + 1)
        by_round = {}
        for round in rounds:
            ruler = [self._differences(played, min(round, played.rounds)) for played in asked.lab]
            by_round[round] = joined(self._differences(view, round), ruler)
        together = summed([value / round for round, value in by_round.items()])
        return {"all rounds": together} | {f"round {round}": value for round, value in by_round.items()}

    def _differences(self, view: ServerView, round: int) -> Differences:
        """How much more every client believes in every target, by feature."""
        s, targets, public = self.settings, view.knowledge.target_labels, view.knowledge.public
        domain: Domain = "all" if bool(public.sensitive.all()) else "sensitive"
        unknown = torch.full((view.clients, len(targets)), torch.nan, dtype=torch.float64)
        found: Differences = {}
        for tau in s.tau_sensitive:
            reference, values = self._reference(view, tau, domain), unknown.clone()
            for client in range(view.clients):
                _, gap = reference.gap(view, client, round)
                if len(gap):
                    values[client] = self._level(gap[:, targets].double(), view)
            found["sensitive", tau] = values
        for tau in s.tau_own if public.labels is not None else ():
            reference, values = self._reference(view, tau, "all"), unknown.clone()
            for client in range(view.clients):
                rows, gap = reference.gap(view, client, round)
                values[client] = own_means(public.labels[rows], gap, targets)
            found["own", tau] = values
        return found

    def _level(self, gaps: Tensor, view: ServerView) -> Tensor:
        """One number for each target from its differences [n, T]: their mean; for a sum, the mean of the largest."""
        if view.clients > 1 or len(gaps) <= self.settings.largest:
            return gaps.mean(0)
        return gaps.topk(self.settings.largest, dim=0).values.mean(0)

    def _reference(self, view: ServerView, tau: float, domain: Domain) -> Reference:
        kind = self.settings.reference
        if kind == "auto":
            kind = "others" if view.clients > 1 else "server"
        if kind == "server" and "server_logits" not in view.provides:
            return reference_of("none", tau, domain)
        return reference_of(kind, tau, domain)


def joined(found: Differences, ruler: Sequence[Differences]) -> Tensor:
    """All features of a round as one score [K, T], each in units of its own spread.

    Args:
        found: what is scored.
        ruler: the same of federations in which nobody holds the targets: what is usual for each target is subtracted
            then, and one spread is taken for all (LiRA, offline, with a shared variance).
    """
    parts = []
    for feature, value in found.items():
        usual = [played[feature] for played in ruler if feature in played]
        if usual:
            stacked = torch.cat(usual)
            mean = stacked.nanmean(0)
            spread = (stacked - mean).square().nanmean().sqrt()
            parts.append((value - mean) / spread.clamp_min(1e-12))
        else:
            parts.append(standardized(value))
    return summed(parts)


def summed(parts: Sequence[Tensor]) -> Tensor:
    """The sum of what is known; nan where nothing is."""
    stacked = torch.stack(list(parts))
    total: Tensor = stacked.nansum(0)
    total[stacked.isnan().all(0)] = torch.nan
    return total


def standardized(values: Tensor) -> Tensor:
    """Values with mean 0 and standard deviation 1 over those that are numbers; zeros where all are alike."""
    mean = values.nanmean()
    spread = (values - mean).square().nanmean().sqrt()
    return (values - mean) / spread if bool(spread > 1e-12) else values - mean


def own_means(labels: Tensor, gaps: Tensor, targets: Tensor) -> Tensor:
    """For each target the mean difference in its own column over the rows that show it, float64 [T]; nan where no row
    does.

    Args:
        labels: int64 [n], what each row shows.
        gaps: float32 [n, J].
        targets: int64 [T], ascending.
    """
    total, count = (
        torch.zeros(len(targets), dtype=torch.float64),
        torch.zeros(len(targets), dtype=torch.float64),
    )
    places = torch.searchsorted(targets, labels).clamp_max(len(targets) - 1)
    mine = targets[places] == labels
    values = gaps[mine].gather(1, labels[mine][:, None])[:, 0].double()
    total.index_add_(0, places[mine], values)
    count.index_add_(0, places[mine], torch.ones_like(values))
    return total / torch.where(count > 0, count, torch.nan)
