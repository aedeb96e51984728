"""Partitions against those of flwr-datasets, where both mean the same: distributions are compared, draws are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from logitleak import registry
from needs import require

theirs = require("flwr_datasets.partitioner")
datasets = require("datasets")

Table = np.ndarray[Any, np.dtype[np.int64]]


def our_table(name: str, values: dict[str, Any], labels: Table, clients: int, seed: int) -> Table:
    """Images by client and class."""
    kind = registry.load("partition", name)
    partition = kind(registry.settings(name, kind.Settings, values))
    owners = partition.divide(labels, clients, np.random.default_rng(seed))
    found = np.zeros((clients, int(labels.max()) + 1), np.int64)
    np.add.at(found, (owners, labels), 1)
    return found


def their_table(partitioner: Any, labels: Table, clients: int) -> Table:
    partitioner.dataset = datasets.Dataset.from_dict({"label": labels.tolist()})
    parts = [np.asarray(partitioner.load_partition(client)["label"], np.int64) for client in range(clients)]
    return np.stack([np.bincount(part, minlength=int(labels.max()) + 1) for part in parts])


@pytest.mark.parametrize("alpha", [0.1, 1.0, 10.0])
def test_dirichlet(alpha: float) -> None:
    """Without their balancing, which makes a partition more even than its alpha says, and without a smallest client."""
    clients, labels = 5, np.repeat(np.arange(200), 200)
    ours = our_table("dirichlet", {"alpha": alpha}, labels, clients, seed=0)
    drawn = theirs.DirichletPartitioner(
        clients, "label", alpha, min_partition_size=0, self_balancing=False, seed=0
    )
    found = their_table(drawn, labels, clients)
    assert (ours.sum(0) == found.sum(0)).all()
    for client in range(clients):
        # twentieths of a class: we round, they round down, so that their last client has one image where ours has none
        assert stats.ks_2samp(np.rint(ours[client] / 10), np.rint(found[client] / 10)).pvalue > 0.001
    # and the test can tell one alpha from another
    other = our_table("dirichlet", {"alpha": 3 * alpha}, labels, clients, seed=0)
    assert stats.ks_2samp(other.ravel(), found.ravel()).pvalue < 0.001


def test_iid_sizes() -> None:
    labels = np.repeat(np.arange(10), 50)
    ours = our_table("iid", {}, labels, 3, seed=0)
    found = their_table(theirs.IidPartitioner(3), labels, 3)
    assert sorted(ours.sum(1)) == sorted(found.sum(1))


@pytest.mark.parametrize(("classes", "clients"), [(2, 10), (5, 10), (3, 20)])
def test_shards(classes: int, clients: int) -> None:
    """Classes per client, and how the images of a class are divided among the clients that have it."""
    labels = np.repeat(np.arange(10), 60)
    ours = our_table("shards", {"classes": classes}, labels, clients, seed=0)
    drawn = theirs.PathologicalPartitioner(
        clients, "label", classes, class_assignment_mode="deterministic", seed=0
    )
    found = their_table(drawn, labels, clients)
    assert ((ours > 0).sum(1) == classes).all()
    assert ((found > 0).sum(1) == classes).all()
    assert sorted((ours > 0).sum(0)) == sorted((found > 0).sum(0))
    for parts in (*ours.T, *found.T):
        held = parts[parts > 0]
        assert held.max() - held.min() <= 1
