"""What a score is worth against federations of the server's own: LiRA (Carlini et al., IEEE S&P 2022), in two ways.

*Offline*: nobody in them holds a target, so what is usual for it where it is out is taken away, with one spread for
all. *Online* also says what is usual where somebody is in. The images of the very target are unknown to the server, so
that is pooled over the public people who play private ones: how much higher than what is usual for each of them its
score is where it is in. The score is then the ratio of two normal densities.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

Feature = tuple[Literal["sensitive", "own"], float]
"""A kind of public rows, and a softmax temperature."""

Differences = dict[Feature, Tensor]
"""By feature a number for every client and target, float64 [K, T], or for one client [T]; nan where no row is."""

SMALLEST = 1e-9
"""No spread is taken as less."""


class Sides(NamedTuple):
    """Scores of public people in one federation of the server's own, and who of them was where.

    Attributes:
        scores: by feature, float64 [K, M].
        inside: bool [K, M], that a client trained on the person's images.
        outside: bool [K, M], that it did not, where it might have.
    """

    scores: Differences
    inside: Tensor
    outside: Tensor


def against(found: Differences, usual: Sequence[Differences]) -> Tensor:
    """The same, against what is usual for each target in federations in which nobody holds it, with one spread for all
    targets (LiRA, offline, with a shared variance)."""
    parts = []
    for feature, value in found.items():
        known = [played[feature] for played in usual if feature in played]
        if known:
            stacked = torch.cat(known)
            mean = stacked.nanmean(0)
            spread = (stacked - mean).square().nanmean().sqrt()
            parts.append((value - mean) / spread.clamp_min(1e-12))
    return summed(parts) if parts else torch.full_like(next(iter(found.values())), torch.nan)


def likelier(found: Differences, usual: Sequence[Differences], people: Sequence[Sides]) -> Tensor:
    """log N(s; in) − log N(s; out) of every score s, summed over features: LiRA, online, pooled over people.

    s is taken relative to the mean μ_j of its target's scores where it was out. Out: mean 0 and variance
    σ²(1 + 1/n_j), with σ² pooled within all that were out, and n_j scores behind μ_j. In: mean and variance of the
    same differences of people who were in.

    Args:
        found: the scores, by feature [K, T].
        usual: scores of the same targets in federations in which nobody holds them.
        people: scores of others, who were in or out.

    Returns:
        float64 [K, T]; nan where fewer than two people were in, or nobody was out twice.
    """
    parts = []
    for feature, value in found.items():
        known = [played[feature] for played in usual if feature in played]
        sides = [one for one in people if feature in one.scores]
        if not known or not sides:
            continue
        targets = torch.cat(known)
        scores = torch.cat([one.scores[feature] for one in sides])
        inside, outside = torch.cat([one.inside for one in sides]), torch.cat([one.outside for one in sides])
        others = torch.where(outside, scores, torch.nan)
        raised = (scores - others.nanmean(0))[inside]
        raised = raised[~raised.isnan()]
        spread, count = _within([targets, others]), (~targets.isnan()).sum(0).double()
        if len(raised) < 2 or math.isnan(spread):
            continue
        beyond = value - targets.nanmean(0)
        deviation = spread * (1 + 1 / count).sqrt()
        zero = torch.zeros((), dtype=torch.float64)
        parts.append(log_ratio(beyond, (raised.mean(), raised.std()), (zero, deviation)))
    return summed(parts) if parts else torch.full_like(next(iter(found.values())), torch.nan)


def log_ratio(values: Tensor, inside: tuple[Tensor, Tensor], outside: tuple[Tensor, Tensor]) -> Tensor:
    """log N(value; inside) − log N(value; outside), of two normal densities given by mean and standard deviation."""

    def density(mean: Tensor, deviation: Tensor) -> Tensor:
        wide = deviation.clamp_min(SMALLEST)
        return -((values - mean) / wide).square() / 2 - wide.log()

    return density(*inside) - density(*outside)


def _within(groups: Sequence[Tensor]) -> float:
    """The standard deviation within columns, pooled over all of them; nan where none has two numbers."""
    squares, degrees = 0.0, 0
    for scores in groups:
        squares += float((scores - scores.nanmean(0)).square().nansum())
        degrees += int(((~scores.isnan()).sum(0) - 1).clamp_min(0).sum())
    return math.sqrt(squares / degrees) if degrees else math.nan


def summed(parts: Sequence[Tensor]) -> Tensor:
    """The sum of what is known; nan where nothing is."""
    stacked = torch.stack(list(parts))
    total: Tensor = stacked.nansum(0)
    total[stacked.isnan().all(0)] = torch.nan
    return total
