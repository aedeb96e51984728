"""What noise promises: ε at a given δ, exactly, for a mechanism whose noise and sensitivity are known."""

from __future__ import annotations

import math

from scipy.special import log_ndtr, ndtri

_LARGEST = 1e4
"""Above this μ the search would be about digits that float64 has not; the bound that it begins with is returned."""


def gaussian_delta(mu: float, epsilon: float) -> float:
    """The smallest δ for which Gaussian noise is (ε, δ)-differentially private.

    Args:
        mu: L2 sensitivity over the noise's standard deviation. Of T uploads, each of which may depend on what came
            back from those before, with the same ratio r: r·√T.
        epsilon: ε ≥ 0.

    Source: Balle and Wang (2018), Theorem 8.
    """
    first = log_ndtr(mu / 2 - epsilon / mu)
    second = epsilon + log_ndtr(-mu / 2 - epsilon / mu)
    return float(-math.exp(first) * math.expm1(min(0.0, second - first)))


def gaussian_epsilon(mu: float, delta: float) -> float:
    """The smallest ε for which it is so, or a number just above.

    Args:
        mu: as in `gaussian_delta`; 0 where nothing can change.
        delta: δ, between 0 and 1.
    """
    if mu == 0 or gaussian_delta(mu, 0) <= delta:
        return 0.0
    # the first term alone is below δ here, so this ε is enough
    low, high = 0.0, max(mu * mu / 2 - mu * float(ndtri(delta)), 0.0)
    if mu > _LARGEST:
        return high
    while high - low > 1e-9 * max(high, 1e-3):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if gaussian_delta(mu, middle) <= delta:
            high = middle
        else:
            low = middle
    return high


def upward(value: float) -> str:
    """A bound with three digits, never below itself."""
    if value == 0:
        return "0"
    step = 10.0 ** (math.floor(math.log10(value)) - 2)
    raised = math.ceil(value / step * (1 - 1e-12)) * step
    return f"{raised:.0f}" if raised >= 1000 else f"{raised:.3g}"


def counted(delta: float, rows: int, rounds: int) -> str:
    """How a guarantee begins: what kind it is, and which uploads it counts."""
    return f"(ε, δ)-differential privacy at δ = {delta:g}, over {rounds} uploads of at most {rows} rows."


def promise(client: str, row: str, delta: float, rows: int, rounds: int) -> str:
    """The guarantee of noise on rows, in words.

    Args:
        client: ε where everything that a client holds may be other.
        row: ε where its answer on one row may be.
        delta: δ of both.
        rows: public rows.
        rounds: uploads.
    """
    return (
        f"{counted(delta, rows, rounds)} Unit a client, adjacency any other private data of it: ε = {client}. "
        "Unit an answer, adjacency another answer on one public row in every upload and the same on all other rows: "
        f"ε = {row}. None for a single private image beyond that of its client, since one image may change every row"
    )
