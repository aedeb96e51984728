"""Bounds on ε: below the truth, near it for many trials, and zero where nothing leaks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from logitleak.metrics.epsilon import (
    LEVEL,
    ceiling,
    gaussian_epsilon,
    guess,
    of_errors,
    of_one_run,
    of_one_run_gaussian,
    upper_limit,
)

DELTA = 1e-5


def test_limits_are_those_of_scipy() -> None:
    for successes, trials in ((0, 20), (3, 50), (50, 50)):
        exact = stats.binomtest(successes, trials).proportion_ci(0.95, "exact").high
        assert upper_limit(successes, trials, 0.025) == pytest.approx(exact)


def test_no_error_at_all_is_about_ln_n_over_3_7() -> None:
    for n in (100, 10_000):
        assert of_errors(0, n, 0, n, 0.0) == pytest.approx(math.log(n / 3.7), abs=0.05)
    assert of_errors(50, 100, 50, 100, 0.0) == 0


def test_known_values() -> None:
    """What 20, 40 and 200 coins can show if everything is guessed; and the definition, summed by hand."""
    assert [round(ceiling(n, n, 0.0), 1) for n in (20, 40, 200)] == [1.8, 2.6, 4.2]
    coins, guesses, right, delta = 60, 40, 36, 1e-3
    bound = of_one_run(coins, guesses, right, delta)

    def p_value(epsilon: float) -> float:
        q = math.exp(epsilon) / (1 + math.exp(epsilon))
        chance = [math.comb(guesses, w) * q**w * (1 - q) ** (guesses - w) for w in range(guesses + 1)]
        alpha = max(sum(chance[right - i : right]) / i for i in range(1, right + 1))
        return sum(chance[right:]) + 2 * coins * delta * alpha

    assert p_value(bound) == pytest.approx(0.05, abs=1e-4)
    assert p_value(bound + 0.05) > 0.05 > p_value(bound - 0.05)


def test_coins_that_are_thrown_again_cost_something() -> None:
    """If only one in four games is kept, what happens in one in 80 of all games happens in one in 20 of the kept."""
    assert (
        of_one_run(40, 20, 20, 0.0)
        > of_one_run(40, 20, 20, 0.0, 0.25)
        > of_one_run(40, 20, 20, 0.0, 0.01)
        > 0
    )
    exact = of_one_run(20, 20, 20, 0.0, 0.25)
    q = math.exp(exact) / (1 + math.exp(exact))
    assert q**20 == pytest.approx(0.05 / 4, rel=1e-3)
    assert of_one_run_gaussian(40, 20, 20, DELTA) > of_one_run_gaussian(40, 20, 20, DELTA, 0.25) > 0


def test_half_right_and_nothing_right_are_zero() -> None:
    for right in (0, 10, 12):
        assert of_one_run(20, 20, right, 0.0) == 0
        assert of_one_run_gaussian(20, 20, right, DELTA) == 0


@pytest.mark.parametrize("n", [10, 100, 1000, 10_000])
def test_scores_without_information_give_zero(n: int) -> None:
    rng, games = np.random.default_rng(n), 200
    zero = zero_gaussian = 0
    for game in range(games):
        coins = rng.random(n) < 0.5
        scores = np.zeros(n) if game % 10 == 0 else rng.normal(size=n)
        right = guess(scores.tolist(), coins.tolist(), n)
        zero += of_one_run(n, n, right, DELTA) == 0
        zero_gaussian += of_one_run_gaussian(n, n, right, DELTA) == 0 if n <= 1000 else 1
    for count in (zero, zero_gaussian):
        assert stats.binomtest(count, games, LEVEL, alternative="less").pvalue > 1e-3


@pytest.mark.parametrize("noise", [0.5, 1.0, 2.0])
def test_a_gaussian_mechanism_is_bounded_from_below(noise: float) -> None:
    """Each coin adds 1 to its own noisy sum: (ε, δ) is exact, and the bound stays below it."""
    rng, games, n = np.random.default_rng(7), 100, 400
    truth, below, below_gaussian = gaussian_epsilon(1 / noise, DELTA), 0, 0
    for _ in range(games):
        coins = rng.random(n) < 0.5
        right = guess((coins + noise * rng.normal(size=n)).tolist(), coins.tolist(), n // 4)
        below += of_one_run(n, n // 4, right, DELTA) <= truth
        below_gaussian += of_one_run_gaussian(n, n // 4, right, DELTA) <= truth
    for count in (below, below_gaussian):
        assert stats.binomtest(count, games, LEVEL, alternative="less").pvalue > 1e-3


def test_many_trials_come_near() -> None:
    """Independent runs with one coin each, and one run with many coins."""
    rng, n, noise = np.random.default_rng(3), 200_000, 1.0
    truth = gaussian_epsilon(1 / noise, 1e-2)
    scores_in, scores_out = rng.normal(1, noise, n), rng.normal(0, noise, n)
    threshold = 2.0
    found = of_errors(int((scores_out > threshold).sum()), n, int((scores_in <= threshold).sum()), n, 1e-2)
    assert 0.6 * truth < found <= truth
    coins = rng.random(20_000) < 0.5
    guesses = 1000
    right = guess((coins + noise * rng.normal(size=20_000)).tolist(), coins.tolist(), guesses)
    exact = gaussian_epsilon(1.0, DELTA)
    one_run = of_one_run(20_000, guesses, right, DELTA)
    assert one_run < of_one_run_gaussian(20_000, guesses, right, DELTA) <= exact
    assert of_one_run_gaussian(20_000, guesses, right, DELTA) > 0.6 * exact


def test_epsilon_of_a_gaussian_mechanism_is_its_integral() -> None:
    for mu, delta in ((0.5, 1e-5), (1.0, 1e-3), (4.0, 1e-6)):
        epsilon = gaussian_epsilon(mu, delta)
        x = np.linspace(-12, 12 + mu, 400_001)
        excess = np.maximum(stats.norm.pdf(x, mu) - math.exp(epsilon) * stats.norm.pdf(x), 0)
        assert np.trapezoid(excess, x) == pytest.approx(delta, rel=1e-3)
    assert gaussian_epsilon(0.0, 1e-5) == gaussian_epsilon(1e-6, 1e-3) == 0


def test_guesses_are_of_the_ends() -> None:
    scores, coins = [5.0, 4, 3, 2, 1, 0], [True, False, True, False, True, False]
    assert guess(scores, coins, 2) == 2
    assert guess(scores, coins, 4) == 2
    assert guess(scores, [not c for c in coins], 6) == 2


@pytest.mark.parametrize("wrong", [(0, 0, 0, 0.0), (5, 6, 1, 0.0), (5, 4, 5, 0.0), (5, 4, 3, 1.0)])
def test_no_game(wrong: tuple[int, int, int, float]) -> None:
    with pytest.raises(ValueError, match=r"no game|δ"):
        of_one_run(*wrong)
