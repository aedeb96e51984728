"""Who plays whom in the server's own federation: it is divided like the real one, and nobody in it is private."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from mocked import SETTINGS, WAYS, configured, knowledge, played

from logitleak import config as configs
from logitleak.stages.cast import cast
from logitleak.types import Knowledge


@pytest.mark.parametrize("one_domain", [False, True])
@pytest.mark.parametrize("clients", [1, 2, 4])
@pytest.mark.parametrize(("partition", "unit"), WAYS)
def test_every_partition_and_unit(partition: str, unit: str, clients: int, one_domain: bool) -> None:
    known = knowledge(one_domain, classes=8 if one_domain else 48)
    settings = SETTINGS[partition](clients, 8 if one_domain else 9)
    config = configured(clients, unit, one_domain, partition=partition, partition_settings=settings)
    found = played(known, config)
    truth, game, public = found.split.truth, found.game, found.split.public
    assert len(truth.images) + len(public) == len(known.public)
    assert (game.unit, game.worlds, game.paired) == (unit, 2, True)
    assert torch.equal(game.units, truth.target_labels)
    assert found.config.federation.clients == clients
    assert int(truth.owners.max()) < clients
    assert game.strata.tolist() == [truth.owner_of(unit) for unit in game.units.tolist()]
    belonging = game.belonging(truth)
    assert bool(belonging.any(1).all())  # every coin is about some image
    assert belonging.sum(1).max() == 1 or unit != "image"
    if partition == "identity" or clients == 1:
        assert not truth.shared
    elif partition in ("iid", "overlap"):
        assert truth.shared
    shown = public.labelled()
    if one_domain:
        assert game.units.tolist() == list(range(8))  # all classes are targets there
        assert bool(torch.isin(game.units, shown.labels).all())  # and all are public, too
    else:
        assert not bool(torch.isin(game.units, known.target_labels).any())
        assert not bool(torch.isin(shown.labels[shown.sensitive], game.units).any())


def test_the_coins_are_of_the_attackers_seed() -> None:
    """The run's seed has no part in it, and another seed of the attacker's makes another cast."""
    known = knowledge(False, classes=64)
    config = configured(4, "person-at-client", partition="iid")
    first, again = played(known, config), played(known, config.model_copy(update={"seed": 5}))
    assert torch.equal(first.game.coins, again.game.coins)
    assert torch.equal(first.split.truth.owners, again.split.truth.owners)
    other = played(known, config, seed=8)
    assert not torch.equal(first.split.truth.labels, other.split.truth.labels)


def test_a_public_set_of_other_classes_is_divided_by_classes() -> None:
    """Where no target has a public image, no mock target has one."""
    known = knowledge(True, classes=24)
    known = replace(known, target_labels=torch.arange(24, 30), num_classes=30)
    found = played(known, configured(2, one_domain=True, partition="iid"))
    assert len(found.game.units) == 6
    assert not bool(torch.isin(found.split.public.labelled().labels, found.game.units).any())


@pytest.mark.parametrize(
    ("known", "config", "said"),
    [
        (knowledge(False, classes=12), configured(2), "too few public people have images in both domains"),
        (knowledge(True, classes=3), configured(2, one_domain=True, partition="iid"), "classes have two public images"),
        (knowledge(True, images=1), configured(2, one_domain=True, partition="iid"), "classes have two public images"),
        (
            knowledge(False),
            configured(2, partition="shards", partition_settings={"classes": 1}),
            "cannot be divided as private ones are (data.partition=shards)",
        ),
        (
            knowledge(True, classes=4, images=2),
            configured(4, one_domain=True, partition="quantity", partition_settings={"smallest": 2}),
            "4 private images are too few for 4 clients with 2 each",
        ),
        (
            replace(knowledge(True, classes=12), target_labels=torch.arange(12, 18), num_classes=18),
            configured(2, one_domain=True, partition="iid"),
            "too few classes for some to play private ones",
        ),
    ],
)  # fmt: skip
def test_too_small_public_sets_are_one_line(known: Knowledge, config: configs.Config, said: str) -> None:
    found = cast(known, config, 7)
    assert isinstance(found, str)
    assert said in found
    assert "\n" not in found
