"""Differences of sums: against least squares with constraints, by hand, and who is cut out of which sums."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from planted import PlantedView

from logitleak.attacks.differences import DifferencesView, Weights, isolated
from logitleak.attacks.views import SumView, ViewOf
from logitleak.audits.base import create
from logitleak.metrics.detection import area


class Coming(ViewOf):
    """The same federation, where some clients stay away from some rounds: bool [T, K] says who is there."""

    def __init__(self, view: PlantedView, there: torch.Tensor) -> None:
        super().__init__(view)
        self.there = there

    def client_logits(self, client: int, round: int) -> tuple[torch.Tensor, torch.Tensor]:
        rows, values = self.inner.client_logits(client, round)
        return (rows, values) if bool(self.there[round - 1, client]) else (rows[:0], values[:0])


def there(*rounds: str) -> torch.Tensor:
    """Such as "1101": client 2 of four is away."""
    return torch.tensor([[sign == "1" for sign in one] for one in rounds])


def differences(view: PlantedView, members: torch.Tensor) -> DifferencesView:
    return DifferencesView(SumView(Coming(view, members)), members)


def least_changing(sums: NDArray[np.float64], members: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Outputs [T, K] that add up to the sums [T] of those who are there and change least, by the equations of Lagrange,
    solved with least norm."""
    rounds, clients = members.shape
    count = rounds * clients
    system = np.zeros((count + rounds, count + rounds))
    for k in range(clients):
        for t in range(rounds - 1):
            here, then = t * clients + k, (t + 1) * clients + k
            for row, sign in ((here, 1), (then, -1)):
                system[row, here] += 2 * sign
                system[row, then] -= 2 * sign
    for t in range(rounds):
        system[count + t, t * clients : (t + 1) * clients] = members[t]
    system[:count, count:] = system[count:, :count].T
    found = np.linalg.lstsq(system, np.concatenate([np.zeros(count), sums]), rcond=1e-12)[0]
    return found[:count].reshape(rounds, clients)


@pytest.mark.parametrize(
    "members",
    [there("111", "011"), there("011", "111", "101"), there("110", "011", "101", "111"), there("01", "11", "01", "11")],
)  # fmt: skip
def test_estimates_are_the_outputs_that_change_least(members: torch.Tensor) -> None:
    rng = np.random.default_rng(0)
    sums = rng.normal(size=len(members))
    weights = Weights(members, torch.arange(len(members)))
    found = np.array(
        [[weights.of(k, t).numpy() @ sums for t in range(len(sums))] for k in range(members.shape[1])]
    )
    alone, expected = isolated(members).numpy(), least_changing(sums, members.numpy())
    assert alone.any()
    np.testing.assert_allclose(found[alone].T, expected[:, alone], atol=1e-4)
    whole = (found.T * members.numpy()).sum(1)
    np.testing.assert_allclose(whole, sums, atol=1e-6)


def test_outputs_that_do_not_change_are_recovered() -> None:
    view, members = PlantedView(clients=4, rounds=3), there("1111", "0111", "1011")
    view.logits[:, 1:] = view.logits[:, :1]
    seen = differences(view, members)
    for client in (0, 1):
        rows, values = seen.client_logits(client, 1)
        assert torch.equal(rows, torch.arange(len(view.knowledge.public)))
        torch.testing.assert_close(values, view.logits[client, 0], atol=1e-3, rtol=1e-4)
    for client in (2, 3):  # always together
        values = seen.client_logits(client, 2)[1]
        torch.testing.assert_close(values, view.logits[2:4, 0].mean(0), atol=1e-3, rtol=1e-4)
    assert len(seen.client_logits(0, 2)[0]) == 0  # it was away


def test_neighboring_rounds_count_more() -> None:
    """Client 0 is away once; what the others changed long after hardly matters."""
    members = there("1", "0", *("1" * 6)).expand(8, 3).clone()
    members[:, 1:] = True
    found = Weights(members, torch.arange(8)).of(0, 2).abs()
    assert found[2] > found[3:].max()
    assert found[1] > found[3:].max()


def test_probabilities_are_averaged_as_they_were_sent() -> None:
    view, members = PlantedView(clients=2, rounds=2, upload_kind="probabilities"), there("11", "01")
    view.logits[:, 1:] = view.logits[:, :1]
    found = differences(view, members).client_logits(0, 1)[1].softmax(1)
    expected = view.logits[0, 0].softmax(1)
    assert float((found - expected).abs().max()) < 1e-4


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (there("111", "111"), "000"),
        (there("0111", "1111"), "1000"),  # three of four are most of the sum
        (there("0011", "1111"), "1111"),
        (there("101", "011"), "000"),  # their difference is no client's
        (there("1010", "0110", "1111"), "0000"),
        (there("11000", "00100", "11111"), "11111"),  # what is left of all when both sums are known
        (there("110", "011", "101"), "111"),
        (there("01", "01"), "01"),
        (there("000", "000"), "000"),
    ],
)
def test_who_is_cut_out(members: torch.Tensor, expected: str) -> None:
    assert isolated(members).tolist() == [sign == "1" for sign in expected]


def test_rows_without_a_sum_in_every_round_are_left_out() -> None:
    view, members = PlantedView(clients=3, rounds=2), there("111", "011")

    class Fewer(Coming):
        def client_logits(self, client: int, round: int) -> tuple[torch.Tensor, torch.Tensor]:
            rows, values = super().client_logits(client, round)
            return (rows[3:].flip(0), values[3:].flip(0)) if round == 2 else (rows[:9], values[:9])

    seen = DifferencesView(SumView(Fewer(view, members)), members)
    rows, values = seen.client_logits(0, 1)
    assert rows.tolist() == list(range(3, 9))
    both = view.logits[:3, 0].sum(0) - view.logits[1:3, 1].sum(0)
    torch.testing.assert_close(values, both[3:9], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_a_client_that_is_away_once_is_found_from_sums_alone(kind: str) -> None:
    """Over many federations: nearly always where something leaks, and as a coin would where nothing does."""
    members = there("1111", "0111", "1111")
    for strength, low, high in ((0.0, 0.42, 0.58), (2.0, 0.9, 1.0)):
        inside, outside = [], []
        for seed in range(60):
            used = torch.zeros(8, dtype=torch.bool)
            used[torch.randperm(8, generator=torch.Generator().manual_seed(seed))[:4]] = True
            view = PlantedView(
                rounds=3, classes=24, strength=strength, inside=used, seed=seed, upload_kind=kind  # type: ignore[arg-type]
            )  # fmt: skip
            drift = view.logits[:, 1:] - view.logits[:, :1]
            view.logits[:, 1:] = view.logits[:, :1] + 0.1 * drift  # outputs change little
            own = create("identity").ask(differences(view, members))["all rounds"][0]
            mine = torch.arange(8) % 4 == 0  # what client 0 holds where it is used
            inside += own[mine & used].tolist()
            outside += own[mine & ~used].tolist()
        found = area(inside, outside)["value"]
        assert low <= found <= high, (kind, strength, found)
