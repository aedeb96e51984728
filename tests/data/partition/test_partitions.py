"""Who owns which private image: every partition against its definition, and the hard cases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from logitleak import registry
from logitleak.config import DataConfig
from logitleak.data.division import owners_of
from logitleak.data.partition.base import Partition, raise_smallest
from logitleak.errors import UserError
from logitleak.seeds import derive_numpy

LABELS = np.repeat(np.arange(10), 50)


def made(name: str, values: Mapping[str, Any] | None = None) -> Partition:
    kind = registry.load("partition", name)
    partition: Partition = kind(registry.settings(name, kind.Settings, values or {}))
    return partition


def table(owners: Any, labels: Any, clients: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Images by client and class."""
    found = np.zeros((clients, int(labels.max()) + 1), np.int64)
    np.add.at(found, (owners, labels), 1)
    return found


SMALL: dict[str, dict[str, Any]] = {"shards": {"classes": 5}}


@pytest.mark.parametrize("name", registry.names("partition"))
class TestEveryPartition:
    def test_every_image_has_an_owner_and_seeds_decide(self, name: str) -> None:
        partition = made(name, SMALL.get(name))
        first, again, other = (partition.divide(LABELS, 4, np.random.default_rng(seed)) for seed in (0, 0, 1))
        assert first.shape == LABELS.shape
        assert set(np.unique(first)) <= set(range(4))
        assert (first == again).all()
        assert (first != other).any()

    def test_order_of_images_is_no_matter_for_what_clients_get(self, name: str) -> None:
        """Labels need be neither sorted nor from 0 on, and gaps do no harm."""
        shuffled = np.random.default_rng(5).permutation(LABELS) * 3 + 7
        owners = made(name, SMALL.get(name)).divide(shuffled, 4, np.random.default_rng(0))
        assert np.bincount(owners, minlength=4).sum() == len(shuffled)

    def test_one_client_gets_everything(self, name: str) -> None:
        values = {"overlap": {"clients": 1}, "shards": {"classes": 10}}.get(name, {})
        assert set(made(name, values).divide(LABELS, 1, np.random.default_rng(0))) == {0}

    @given(st.integers(2, 40), st.integers(2, 6), st.integers(0, 1000))
    @settings(max_examples=25, deadline=None)
    def test_few_images(self, name: str, images: int, clients: int, seed: int) -> None:
        labels = np.random.default_rng(seed).integers(0, 3, images)
        values = {"shards": {"classes": len(set(labels.tolist()))}, "quantity": {"smallest": 0}}.get(name, {})
        owners = (
            made(name, values).divide(labels, clients, np.random.default_rng(seed))
            if name != "overlap" or (len(set(labels.tolist())) * 2 >= clients)
            else np.zeros(images, np.int64)
        )
        assert owners.shape == labels.shape
        assert ((owners >= 0) & (owners < clients)).all()


def test_identity_is_the_deal_of_the_paper() -> None:
    """A shuffle, then in turn: written out."""
    order = derive_numpy(3, "owners").permutation(10)
    dealt = {int(person): turn % 4 for turn, person in enumerate(order)}
    owners = made("identity").divide(LABELS, 4, derive_numpy(3, "owners"))
    assert all(dealt[label] == owner for label, owner in zip(LABELS.tolist(), owners.tolist(), strict=True))


def test_iid_sizes_differ_by_one_and_classes_by_chance() -> None:
    owners = made("iid").divide(LABELS, 3, np.random.default_rng(0))
    assert sorted(np.bincount(owners)) == [166, 167, 167]
    assert stats.chi2_contingency(table(owners, LABELS, 3)).pvalue > 0.001


@pytest.mark.parametrize("alpha", [0.1, 1.0, 100.0])
def test_dirichlet_shares_have_the_spread_of_their_distribution(alpha: float) -> None:
    """The variance of one share of a symmetric Dirichlet distribution is (1/K)(1 − 1/K)/(K·alpha + 1)."""
    clients, labels = 5, np.repeat(np.arange(400), 1000)
    owners = made("dirichlet", {"alpha": alpha}).divide(labels, clients, np.random.default_rng(0))
    shares = table(owners, labels, clients)[0] / 1000
    expected = (1 / clients) * (1 - 1 / clients) / (clients * alpha + 1)
    assert abs(shares.mean() - 1 / clients) < 4 * np.sqrt(expected / 400)
    assert 0.75 * expected < shares.var() < 1.3 * expected + 1e-6


def test_skewed_beyond_reason() -> None:
    """Alpha 0.01 and 20 clients: most have nothing, and that is a partition too; or each gets what it needs."""
    labels = np.repeat(np.arange(10), 20)
    owners = made("dirichlet", {"alpha": 0.01}).divide(labels, 20, np.random.default_rng(0))
    counts = np.bincount(owners, minlength=20)
    assert (counts == 0).sum() >= 5
    filled = made("dirichlet", {"alpha": 0.01, "smallest": 3}).divide(labels, 20, np.random.default_rng(0))
    assert np.bincount(filled, minlength=20).min() == 3
    assert (filled != owners).sum() <= 3 * 20  # no more moved than had to
    with pytest.raises(
        UserError, match="too few for 20 clients with 11 each; lower data.partition_settings.smallest"
    ):
        made("dirichlet", {"smallest": 11}).divide(labels, 20, np.random.default_rng(0))


@pytest.mark.parametrize("alpha", [1e-8, 1e-3, 1e6])
def test_extreme_concentrations(alpha: float) -> None:
    owners = made("dirichlet", {"alpha": alpha}).divide(LABELS, 6, np.random.default_rng(0))
    assert np.bincount(owners, minlength=6).sum() == len(LABELS)


def test_quantity_keeps_classes_and_varies_sizes() -> None:
    labels = np.repeat(np.arange(4), 2500)
    owners = made("quantity", {"alpha": 0.5}).divide(labels, 8, np.random.default_rng(2))
    found = table(owners, labels, 8)
    sizes = found.sum(1)
    assert sizes.max() > 5 * sizes.min() > 0
    large = found[sizes > 500]
    assert np.abs(large / large.sum(1, keepdims=True) - 0.25).max() < 0.06


def test_shards_give_each_client_its_classes_and_each_class_a_client() -> None:
    owners = made("shards", {"classes": 3}).divide(LABELS, 7, np.random.default_rng(0))
    held = table(owners, LABELS, 7) > 0
    assert held.sum(1).tolist() == [3] * 7
    assert held.sum(0).min() >= 2
    assert held.sum(0).max() <= 3
    with pytest.raises(UserError, match="leave some of the 10 classes to nobody; raise .* to 3 or more"):
        made("shards", {"classes": 2}).divide(LABELS, 4, np.random.default_rng(0))
    with pytest.raises(UserError, match="11 classes for each client are more than the 10"):
        made("shards", {"classes": 11}).check(10, 4)


@pytest.mark.parametrize("m", [1, 2, 3])
def test_overlap_puts_each_person_at_m_clients(m: int) -> None:
    owners = made("overlap", {"clients": m}).divide(LABELS, 4, np.random.default_rng(0))
    held = table(owners, LABELS, 4)
    assert (held > 0).sum(0).tolist() == [m] * 10
    assert all(
        column[column > 0].ptp() <= 1 if hasattr(column, "ptp") else np.ptp(column[column > 0]) <= 1
        for column in held.T
    )
    assert np.ptp((held > 0).sum(1)) <= 1
    with pytest.raises(UserError, match="cannot be at 5 of 4 clients"):
        made("overlap", {"clients": 5}).check(10, 4)
    with pytest.raises(UserError, match="too few for 21 clients"):
        made("overlap").check(10, 21)


def test_smallest_moves_from_the_largest() -> None:
    owners = np.array([0] * 10 + [1] * 2)
    found = raise_smallest(owners, 3, 3, np.random.default_rng(0))
    assert np.bincount(found, minlength=3).min() >= 3


def test_designated_clients_hold_their_target_and_are_spread() -> None:
    config = DataConfig(partition="iid")
    owners, designated = owners_of(LABELS.tolist(), config, 4, seed=0)
    assert designated is not None
    for label, client in enumerate(designated.tolist()):
        assert bool((owners[label == LABELS] == client).any())
    assert np.ptp(np.bincount(designated.numpy(), minlength=4)) <= 1
    again = owners_of(LABELS.tolist(), config, 4, seed=0)[1]
    assert again is not None
    assert again.tolist() == designated.tolist()
    assert owners_of(LABELS.tolist(), DataConfig(), 4, seed=0)[1] is None
