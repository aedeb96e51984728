"""Lower bounds on ε from games: what must have leaked, never what may have.

A bound says: with 95 % confidence over the game's coins, no mechanism that is (ε, δ)-differentially private with a
smaller ε would have let so much be guessed. It is a statement about the unit that the coins were thrown for, and says
nothing of what a better attacker would have found. Few coins cannot show a large ε; `ceiling` says how much they could.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import optimize, special, stats

from logitleak.defenses.accounting import gaussian_epsilon

LEVEL = 0.95
"""Confidence of every bound."""

_MOST = 50.0
"""No bound above this is looked for: nothing that is played can show it."""


def of_errors(
    false_positives: int, negatives: int, false_negatives: int, positives: int, delta: float
) -> float:
    """The bound from error rates at a threshold that was fixed beforehand (Clopper and Pearson).

    ε ≥ max(ln((1 − δ − FNR)/FPR), ln((1 − δ − FPR)/FNR), 0) with upper 95 % limits of both rates, half of the error
    each. Every trial must be an independent run of the mechanism.

    Raises:
        ValueError: a group is empty, there are more errors than trials, or δ is not in [0, 1).
    """
    _check_delta(delta)
    fpr = upper_limit(false_positives, negatives, (1 - LEVEL) / 2)
    fnr = upper_limit(false_negatives, positives, (1 - LEVEL) / 2)
    bounds = [
        math.log((1 - delta - other) / one)
        for one, other in ((fpr, fnr), (fnr, fpr))
        if 1 - delta - other > one
    ]
    return max([0.0, *bounds])


def upper_limit(successes: int, trials: int, error: float) -> float:
    """The upper limit of Clopper and Pearson (1934) with this one-sided error.

    Raises:
        ValueError: there are no trials, or more successes than trials.
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"{successes} of {trials} trials are no proportion")
    return 1.0 if successes == trials else float(stats.beta.ppf(1 - error, successes + 1, trials - successes))


def of_one_run(coins: int, guesses: int, right: int, delta: float, kept: float = 1.0) -> float:
    """The bound from one run with many coins (Steinke, Nasr and Jagielski, 2023, "Privacy auditing with one (1)
    training run").

    Args:
        coins: m, units that took part by independent fair coins.
        guesses: r, of how many units something was guessed; fixed beforehand.
        right: v, how many guesses were right.
        delta: δ of the definition.
        kept: the chance with which coins like these are kept and not thrown again; where that is below 1 a chance
            among all coins is at most so much larger among those that are kept.

    Returns:
        the largest ε that is refuted at 95 %; 0 where none is.

    Raises:
        ValueError: the counts do not fit together, or δ is not in [0, 1).
    """
    _check_delta(delta)
    if not 0 <= right <= guesses <= coins or coins < 1:
        raise ValueError(f"{right} right of {guesses} guesses for {coins} coins is no game")
    alpha = (1 - LEVEL) * kept
    if right == 0 or _p_value(coins, guesses, right, delta, 0.0) > alpha:
        return 0.0
    if _p_value(coins, guesses, right, delta, _MOST) <= alpha:
        return _MOST
    return float(
        optimize.brentq(lambda e: _p_value(coins, guesses, right, delta, e) - alpha, 0.0, _MOST, xtol=1e-6)
    )


def of_one_run_gaussian(coins: int, guesses: int, right: int, delta: float, kept: float = 1.0) -> float:
    """The same game read under the hypothesis that the mechanism is no better to guess from than a Gaussian one
    (Mahloujifar, Melis and Chaudhuri, 2024, "Auditing f-differential privacy in one run"): the largest refuted μ
    among the trade-off curves of N(0, 1) against N(μ, 1), as ε at this δ. It is larger than `of_one_run` where δ > 0,
    and a bound for mechanisms of that family only.

    Args, returns, raises: as for `of_one_run`; δ must be above 0.
    """
    if not 0 < delta < 1:
        raise ValueError(f"a Gaussian mechanism has no ε at δ = {delta}")
    of_one_run(coins, guesses, right, delta)  # the same counts are no game
    alpha = (1 - LEVEL) * kept
    if right == 0 or not _refuted(coins, guesses, right, 0.0, alpha):
        return 0.0
    low, high = 0.0, 1.0
    while high < _MOST and _refuted(coins, guesses, right, high, alpha):
        low, high = high, 2 * high
    while high - low > 1e-5:
        middle = (low + high) / 2
        low, high = (middle, high) if _refuted(coins, guesses, right, middle, alpha) else (low, middle)
    return gaussian_epsilon(low, delta)


def ceiling(coins: int, guesses: int, delta: float, kept: float = 1.0) -> float:
    """The bound if every guess were right: no attacker could show more in this game."""
    return of_one_run(coins, guesses, guesses, delta, kept)


def guess(scores: Sequence[float], taking_part: Sequence[bool], guesses: int) -> int:
    """Guess *in* for the highest scores and *out* for the lowest, half of the guesses each, and count what is right.

    Args:
        scores: of each unit; higher means in.
        taking_part: whether it was.
        guesses: r, at most as many as there are units; of an odd number one more is guessed in.

    Raises:
        ValueError: there are fewer units than guesses.
    """
    values, coins = np.asarray(scores, dtype=np.float64), np.asarray(taking_part, dtype=bool)
    if not 0 < guesses <= len(values) or len(values) != len(coins):
        raise ValueError(f"{guesses} guesses of {len(values)} units with {len(coins)} coins")
    order = np.argsort(-values, kind="stable")
    high = (guesses + 1) // 2
    low = guesses - high
    return int(coins[order[:high]].sum() + (~coins[order[len(order) - low :]]).sum())


def _p_value(coins: int, guesses: int, right: int, delta: float, epsilon: float) -> float:
    """How likely so many right guesses are at most under (ε, δ) (their Theorem 5.2)."""
    q = 1 / (1 + math.exp(-epsilon))
    beta = float(stats.binom.sf(right - 1, guesses, q))
    if delta == 0:
        return beta
    below = stats.binom.cdf(right - 1, guesses, q)  # P[W ≤ v − 1]
    steps = np.arange(1, right + 1)
    shares = (below - stats.binom.cdf(right - steps - 1, guesses, q)) / steps
    return min(1.0, beta + 2 * coins * delta * float(np.max(shares)))


def _refuted(coins: int, guesses: int, right: int, mu: float, alpha: float) -> bool:
    """Whether a Gaussian mechanism of this μ gets so many guesses right in a share of less than α of all games.

    With p_i the chance of i right guesses, theirs is Σ_{j>i} j p_j ≤ m · f̄(Σ_{j≥i} (r − j) p_j / m) for every i, with
    f̄(x) = Φ(Φ⁻¹(x) + μ). From P[≥ v] = α, all at v, the p_i below v must be at least so large; if together they are
    more than 1, that chance is smaller than α.
    """
    got = alpha * right / coins
    missed = alpha * (guesses - right) / coins
    for i in range(right - 1, -1, -1):
        least = max(missed, float(special.ndtr(special.ndtri(min(got, 1.0)) - mu)))
        got += i / (guesses - i) * (least - missed)
        missed = least
    return got + missed > guesses / coins


def _check_delta(delta: float) -> None:
    if not 0 <= delta < 1:
        raise ValueError(f"δ is in [0, 1), not {delta}")
