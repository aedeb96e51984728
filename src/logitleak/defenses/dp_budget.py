"""What noise in training promises: ε of a Gaussian mechanism on Poisson samples, by the accountants of Opacus."""

from __future__ import annotations

import math
import warnings
from functools import cache
from importlib.util import find_spec
from typing import Literal

import numpy as np

from logitleak.defenses.accounting import gaussian_epsilon
from logitleak.errors import UserError, to_install

Accountant = Literal["prv", "rdp"]

_CLEAR = 50.0
"""Above this ε nothing is promised that anybody could rely on, and the exact accountant takes minutes: the bound of the
quick one is stated there."""

_MOST = 1e4
"""No noise above this is looked for."""

_PRECISION = 1e-3
"""Noise is found to such a share of itself, from above."""


def has_opacus() -> bool:
    """Whether Opacus is installed."""
    return find_spec("opacus") is not None


def check_opacus() -> None:
    """Raise a `UserError` unless Opacus is installed."""
    if not has_opacus():
        raise UserError(f"The defense dp-sgd needs Opacus; {to_install('dp')}.")


@cache
def spent(noise: float, rate: float, steps: int, delta: float, accountant: Accountant) -> float:
    """ε after some steps, an upper bound.

    Args:
        noise: standard deviation over the clip norm, above 0.
        rate: with which chance a unit is in a step, above 0.
        steps: how many.
        delta: δ.
        accountant: "rdp" by Rényi divergences (Mironov, 2017; Mironov, Talwar and Zhang, 2019), "prv" by numerical
            composition (Gopi, Lee and Wutschitz, 2021), which is tighter.

    Raises:
        UserError: Opacus is not installed.
    """
    check_opacus()
    from opacus.accountants import PRVAccountant, RDPAccountant

    def by(kind: type[RDPAccountant] | type[PRVAccountant]) -> float:
        made = kind()
        made.history = [(noise, rate, steps)]
        return float(made.get_epsilon(delta))

    everybody = gaussian_epsilon(math.sqrt(steps) / noise, delta)  # if all were in every step: never less
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of orders at the end of their range, and of logarithms of 0
        if accountant == "prv" and (everybody < _CLEAR or by(RDPAccountant) < _CLEAR):
            return by(PRVAccountant)
        return by(RDPAccountant)


@cache
def noise_for(epsilon: float, rate: float, steps: int, delta: float, accountant: Accountant) -> float:
    """The least noise with which some steps spend no more than ε, or a little more of it.

    Args:
        epsilon: ε, above 0.
        rate, steps, delta, accountant: see `spent`.

    Raises:
        UserError: no noise is enough for the accountant, or Opacus is not installed.
    """
    low, high = 0.0, 1.0
    while spent(high, rate, steps, delta, accountant) > epsilon:
        low, high = high, 2 * high
        if high > _MOST:
            raise UserError(
                f"dp-sgd: no noise gives ε = {epsilon:g} at δ = {delta:g} by the accountant {accountant}; raise "
                "epsilon or delta, or use the accountant prv."
            )
    while high - low > _PRECISION * high:
        middle = (low + high) / 2
        if spent(middle, rate, steps, delta, accountant) > epsilon:
            low = middle
        else:
            high = middle
    return high
