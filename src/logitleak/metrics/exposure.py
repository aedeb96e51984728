"""What the scores of an audit are worth: the judge of audits, which sees the coins.

Of twins every target has a score where its images were used and one where they were withheld, from the same client:
nothing else differs. Where one federation ran, different targets are compared, or clients that hold a target with
clients that do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from logitleak.metrics import epsilon, paired
from logitleak.metrics.detection import area, gain, interval, operating_point, variance
from logitleak.metrics.leak import rounded, significant
from logitleak.metrics.proportion import share
from logitleak.sealed.game import Game

RATES = (0.1, 0.01, 0.001)
"""False-positive rates at which true positives are looked at, where there are enough non-members."""

DELTA = 1e-5
"""δ of every bound on ε."""


def of_game(scores: Tensor, game: Game, places: Tensor) -> dict[str, Any] | None:
    """Members against non-members by the coins of a game.

    Args:
        scores: float64 [W, n], of each unit in each world; nan where nothing is known of it.
        game: who was in.
        places: int64 [n], the places of the units among the targets.

    Returns:
        ``area``, ``points``, ``pairs`` (of twins), ``per_unit`` (its place, and its mean score in and out), or None
        where a side has nobody who was heard of.
    """
    members, others = _sides(scores, game)  # of each unit once, however many worlds it was seen in
    inside, outside = members[~np.isnan(members)].tolist(), others[~np.isnan(others)].tolist()
    if not inside or not outside:
        return None
    both = ~np.isnan(members) & ~np.isnan(others)
    return {
        "area": rounded(area(inside, outside)),
        "points": _points(inside, outside),
        "pairs": rounded(paired.wins(members[both].tolist(), others[both].tolist())) if both.any() else None,
        "per_unit": [
            {"place": place, "in": significant(one), "out": significant(other)}
            for place, one, other in zip(places.tolist(), members, others, strict=True)
        ],
    }


def among_clients(scores: Tensor, holds: Tensor, taking_part: Tensor) -> dict[str, Any] | None:
    """Whether clients that hold a target score higher for it than those that do not, in one federation.

    Args:
        scores: float64 [W, K, T]; nan where nothing is known.
        holds: bool [W, K, T], who holds what in which world.
        taking_part: bool [W, T], whose images are used at all.

    Returns:
        ``area`` over all clients and targets that take part, and ``named``: targets of which a client that holds them
        has the highest score. None where there are no two kinds of clients.
    """
    # later worlds ask about the same again
    scores, holds, taking_part = scores[:2], holds[:2], taking_part[:2]
    asked = taking_part[:, None].expand_as(holds) & ~scores.isnan()
    members, others = scores[asked & holds].tolist(), scores[asked & ~holds].tolist()
    if not members or not others:
        return None
    named = []
    for world in range(len(scores)):
        for target in torch.nonzero(taking_part[world]).flatten().tolist():
            own = scores[world, :, target]
            if bool(holds[world, :, target].any()) and not bool(own.isnan().all()):
                best = own.nan_to_num(nan=-torch.inf)
                first = best == best.max()
                named.append(bool(holds[world, first, target].all()))  # a tie names nobody for certain
    return {
        "area": rounded(area(members, others)),
        "named": rounded(share(named)) if named else None,
    }


def of_epsilon(scores: Tensor, game: Game) -> dict[str, Any]:
    """A lower bound on ε from the coins of a game with one world.

    Half of the units are guessed, those with the most extreme scores; that number was fixed beforehand.

    Args:
        scores: float64 [W, n].
        game: who was in; only independent fair coins allow a bound.

    Returns:
        ``bound`` and ``gaussian`` (the same if the mechanism is no worse than a Gaussian one) with ``delta``, ``unit``,
        ``adjacency``, ``coins``, ``guesses``, ``right`` and the ``ceiling`` of the game; or ``none``: why there is
        none.
    """
    if why := no_epsilon(game):
        return {"none": why}
    if bool(scores[0].isnan().all()):
        return {"none": "nothing was heard of the units of this game."}
    values = scores[0].nan_to_num(nan=float(scores[0].nanmedian()))
    coins = len(game.units)
    guesses = max(1, coins // 2)
    right = epsilon.guess(values.tolist(), game.coins[0].tolist(), guesses)
    found = {
        "bound": epsilon.of_one_run(coins, guesses, right, DELTA, game.kept),
        "gaussian": epsilon.of_one_run_gaussian(coins, guesses, right, DELTA, game.kept),
        "ceiling": epsilon.ceiling(coins, guesses, DELTA, game.kept),
    }
    return rounded(found) | {
        "delta": DELTA,
        "unit": game.unit,
        "adjacency": "add or remove one",
        "coins": coins,
        "guesses": guesses,
        "right": right,
        "none": None,
    }


def no_epsilon(game: Game | None) -> str | None:
    """Why a game allows no bound on ε; None where it does."""
    if game is None:
        return "no game was played, so there are no coins to guess; use game.design=decoys, or canaries."
    if game.design == "twins":
        return (
            "twin worlds have balanced halves, and the bound wants independent coins; use game.design=decoys with "
            "game.share=0.5."
        )
    if game.share is None:
        return "nobody said how the coins of this game were thrown (private.game.share of a capture)."
    if game.share != 0.5:
        return "the bound wants fair coins; use game.share=0.5."
    return None


def lead(primary: Tensor, scores: Tensor, coins: Tensor) -> dict[str, Any] | None:
    """How much larger the area of the primary scores is than that of others on the same units; None where some are not
    known, or there are too few.

    Args:
        primary, scores: float64 [W, n].
        coins: bool [W, n].
    """
    if bool(primary.isnan().any() or scores.isnan().any()) or min(int(coins.sum()), int((~coins).sum())) < 2:
        return None
    members = primary[coins].tolist(), scores[coins].tolist()
    others = primary[~coins].tolist(), scores[~coins].tolist()
    return rounded(dict(zip(("difference", "low", "high"), gain(members, others), strict=True)))


def detectable(members: int, others: int) -> float:
    """The smallest area under the curve whose interval would leave out one half with a chance of 80 %: what an audit of
    so many could have found. 1 where nothing could."""
    for value in np.linspace(0.5, 1.0, 501)[1:]:
        error = variance(float(value), members, others) ** 0.5
        seen = min(1.0, max(0.0, float(value) - 0.8416 * error))
        if interval(seen, members, others)[0] > 0.5:
            return float(value)
    return 1.0


def distances(estimate: Tensor, truth: Tensor) -> dict[str, float | None]:
    """How far estimated shares of classes [J] are from the true ones: total variation in [0, 1], the largest error, and
    the Kullback–Leibler divergence KL(truth ‖ estimate) in nats with 1e-6 added to both."""
    p, q = truth.double(), estimate.double()
    a, b = (p + 1e-6) / (p + 1e-6).sum(), (q + 1e-6) / (q + 1e-6).sum()
    return {
        "total_variation": significant(float((p - q).abs().sum() / 2)),
        "largest": significant(float((p - q).abs().max())),
        "kl": significant(float((a * (a / b).log()).sum())),
    }


def _points(inside: Sequence[float], outside: Sequence[float]) -> list[dict[str, Any]]:
    found = (operating_point(inside, outside, rate) for rate in RATES)
    return [
        {
            "asked": point["asked"],
            "true_positives": rounded(point["true_positives"]),
            "false_positives": rounded(point["false_positives"]),
        }
        for point in found
        if point is not None
    ]


def _sides(scores: Tensor, game: Game) -> tuple[np.ndarray, np.ndarray]:
    """Mean score of each unit over the worlds where it is in, and where it is out; nan where there is none."""
    found = []
    for side in (game.coins, ~game.coins):
        found.append(torch.where(side, scores, torch.nan).nanmean(0).numpy())
    return found[0], found[1]
