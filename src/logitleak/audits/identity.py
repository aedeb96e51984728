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

from logitleak.attacks.features import tempered
from logitleak.attacks.references import reference_of
from logitleak.audits.base import Asked, Audit, AuditSettings
from logitleak.audits.calibration import Differences, Feature, Sides, against, likelier, summed
from logitleak.types import Domain, ServerView

OFFLINE = "all rounds, against shadows (LiRA, offline)"
ONLINE = "all rounds, against shadows (LiRA, online, pooled over people)"


class IdentitySettings(AuditSettings):
    """How believing is measured; the defaults were chosen on synthetic people (docs/results.md).

    Attributes:
        reference: whose outputs are subtracted. "others": the mean of the other clients. "server": f_0. "auto": others
            where there are any, else the server, which is also taken for the sum of many.
        tau_sensitive: softmax temperature on sensitive images of others.
        tau_own: softmax temperatures on the target's own public images.
        tau_sum: softmax temperature on sensitive images where one client is seen, or a sum of many.
        largest: there, how many of the largest differences are averaged; of single clients among others all are.
    """

    reference: Literal["auto", "others", "server"] = "auto"
    tau_sensitive: PositiveFloat = 10.0
    tau_own: list[PositiveFloat] = Field(default=[3.0, 10.0], min_length=1)
    tau_sum: PositiveFloat = 3.0
    largest: PositiveInt = 20


class Identity(Audit):
    """Scores every client for every target: over all rounds, and after each."""

    Settings = IdentitySettings
    answer = "membership"
    question = "Who is at which client?"
    assumptions = ("The server knows which labels it asks about.",)
    settings: IdentitySettings

    def probe(self, view: ServerView, asked: Asked) -> Mapping[str, Tensor]:
        """See `Audit.probe`: "all rounds", then every round by itself; and, where there is a lab, all rounds against
        what is usual there, which is the primary where a sum is seen and no client stands beside another. Of single
        clients round t counts 1/t, since what they say later they have from everybody; of a sum all rounds count
        alike."""
        rounds = range(1, view.rounds + 1)
        seen = {round: self._differences(view, round) for round in rounds}
        weights = {round: 1 / round if view.clients > 1 else 1.0 for round in rounds}
        by_round = {round: joined(found) for round, found in seen.items()}
        found = {"all rounds": summed([weights[round] * value for round, value in by_round.items()])}
        found |= {f"round {round}": value for round, value in by_round.items()}
        if asked.lab:
            ruled = self._calibrated(seen, weights, asked)
            return found | ruled if view.clients > 1 else ruled | found
        return found

    def _calibrated(
        self, seen: Mapping[int, Differences], weights: Mapping[int, float], asked: Asked
    ) -> dict[str, Tensor]:
        """All rounds against federations of the server's own, by how that is done; see `calibration`.

        Args:
            seen: by round.
            weights: of the rounds; a ratio of likelihoods needs none.
            asked: with a lab.
        """
        lab = [self._every_round(one) for one in asked.lab]
        people = [(self._every_round(one.view), one) for one in asked.people]
        offline, online = [], []
        for round, differences in seen.items():
            usual = [_at(played, round) for played in lab]
            offline.append(weights[round] * against(differences, usual))
            sides = [Sides(_at(played, round), one.inside, one.outside) for played, one in people]
            online.append(likelier(differences, usual, sides))
        return {OFFLINE: summed(offline)} | ({ONLINE: summed(online)} if asked.people else {})

    def _every_round(self, view: ServerView) -> list[Differences]:
        return [self._differences(view, round) for round in range(1, view.rounds + 1)]

    def _differences(self, view: ServerView, round: int) -> Differences:
        """How much more every client believes in every target, by feature."""
        if view.clients == 1:
            return self._alone(view, round)
        heard: dict[int, Tensor] = {}
        levels: dict[int, Differences] = {}
        for k in range(view.clients):
            rows, logits = view.client_logits(k, round)
            if len(rows):
                heard[k], levels[k] = rows, self._levels(view, rows, logits)
        common = _common(list(heard.values()))
        against = self.settings.reference == "server" and "server_logits" in view.provides
        if len(heard) > 1 and 2 * len(common) < min(map(len, heard.values())):
            return self._apart(view, round, against)
        for k, rows in heard.items():
            if not torch.equal(
                rows, common
            ):  # whoever answered for more is read again, on what all answered for
                levels[k] = self._levels(view, common, _on(common, *view.client_logits(k, round)))
        found = self._unknown(view)
        own = self._levels(view, common, view.server_logits(round)[common]) if against and heard else {}
        for feature, values in found.items():
            total = torch.stack([level[feature] for level in levels.values()]).sum(0) if levels else 0.0
            for k, level in levels.items():
                if against:
                    values[k] = level[feature] - own[feature]
                elif len(levels) > 1:
                    values[k] = level[feature] - (total - level[feature]) / (len(levels) - 1)
        return found

    def _apart(self, view: ServerView, round: int, against: bool) -> Differences:
        """The same where few rows have an answer of all clients: each client on all rows that it answered for, against
        what `OthersReference` has to say of those; or against the server's own outputs."""
        found = self._unknown(view)
        for feature, values in found.items():
            kind, tau = feature
            domain: Domain = "sensitive" if kind == "sensitive" else "all"
            reference = reference_of("server" if against else "others", tau, domain)
            for k in range(view.clients):
                values[k] = self._mean(view, kind, *reference.gap(view, k, round))
        return found

    def _mean(self, view: ServerView, kind: str, rows: Tensor, gaps: Tensor) -> Tensor:
        """The mean of gaps [n, J] in every target's column over rows int64 [n] of a kind, float64 [T]; nan where there
        are none."""
        public, targets = view.knowledge.public, view.knowledge.target_labels
        if kind == "own" and public.labels is not None:
            mine = torch.isin(public.labels[rows], targets)
            return own_means(public.labels[rows[mine]], gaps[mine], targets)
        return gaps[:, targets].double().mean(0)

    def _unknown(self, view: ServerView) -> Differences:
        """Nothing about anybody, by feature."""
        shape = view.clients, len(view.knowledge.target_labels)
        return {
            feature: torch.full(shape, torch.nan, dtype=torch.float64) for feature in self._features(view)
        }

    def _alone(self, view: ServerView, round: int) -> Differences:
        """The same where one client is all that is seen, or a sum: against the server, or against nothing."""
        rows, values = view.client_logits(0, round)
        known = len(rows) > 0 and "server_logits" in view.provides
        less = view.server_logits(round)[rows] if known else None
        return self._levels(view, rows, values, less, alone=True)

    def _features(self, view: ServerView) -> list[Feature]:
        """What is measured of a view."""
        own = self.settings.tau_own if view.knowledge.public.labels is not None else []
        tau = self.settings.tau_sensitive if view.clients > 1 else self.settings.tau_sum
        return [("sensitive", tau), *(("own", each) for each in own)]

    def _levels(
        self, view: ServerView, rows: Tensor, values: Tensor, less: Tensor | None = None, alone: bool = False
    ) -> Differences:
        """By feature the mean belief in every target over the rows that the feature is about, float64 [T]; nan where
        there are none.

        Args:
            view: whose public set the rows are of.
            rows: int64 [n].
            values: logits [n, J].
            less: logits [n, J] of which the beliefs are subtracted.
            alone: on sensitive rows the mean of the largest is taken, and the result is [1, T].
        """
        public, targets, found = view.knowledge.public, view.knowledge.target_labels, Differences()
        sensitive = public.sensitive[rows]
        for kind, tau in self._features(view):
            if len(rows) == 0:
                level = torch.full((len(targets),), torch.nan, dtype=torch.float64)
            elif kind == "own" and public.labels is not None:
                mine = torch.isin(public.labels[rows], targets)
                level = own_means(public.labels[rows[mine]], _beliefs(values, less, tau, mine), targets)
            else:
                beliefs = _beliefs(values, less, tau, sensitive)[:, targets].double()
                if alone and len(beliefs) > self.settings.largest:
                    beliefs = beliefs.topk(self.settings.largest, dim=0).values
                level = beliefs.mean(0)
            found[kind, tau] = level[None] if alone else level
        return found


def _at(played: Sequence[Differences], round: int) -> Differences:
    """What was seen in a round of a federation of the server's own, which may have fewer: then in its last."""
    return played[min(round, len(played)) - 1]


def _beliefs(values: Tensor, less: Tensor | None, tau: float, chosen: Tensor) -> Tensor:
    """softmax(values/τ) of some rows, minus that of others where there are any."""
    beliefs = tempered(values[chosen], tau)
    return beliefs if less is None else beliefs - tempered(less[chosen], tau)


def _common(rows: Sequence[Tensor]) -> Tensor:
    """The public rows that all answered for, int64 [n]."""
    if not rows:
        return torch.empty(0, dtype=torch.int64)
    common = rows[0]
    for other in rows[1:]:
        if not torch.equal(common, other):
            common = common[torch.isin(common, other)]
    return common


def _on(common: Tensor, rows: Tensor, values: Tensor) -> Tensor:
    """A client's outputs on the common rows, in their order."""
    if torch.equal(common, rows):
        return values
    order = rows.argsort()
    return values[order[torch.searchsorted(rows[order], common)]]


def joined(found: Differences) -> Tensor:
    """All features of a round as one score [K, T], each in units of its own spread."""
    return summed([standardized(value) for value in found.values()])


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
