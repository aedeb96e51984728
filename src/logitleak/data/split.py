"""Who holds what: the two protocols of the paper, which divide people of two domains into public, private and held-out
images; `one_domain` is the third."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from logitleak import registry
from logitleak.config import DataConfig
from logitleak.data import one_domain
from logitleak.data.base import Dataset, ImageSet
from logitleak.data.degrade.base import Degradation
from logitleak.data.division import Pool, Prepared, owners_of, shuffled
from logitleak.data.selection import check_numbers, choose_identities
from logitleak.errors import UserError
from logitleak.sealed.truth import GroundTruth, Split
from logitleak.seeds import derive_numpy
from logitleak.types import PublicData


@dataclass
class _Division:
    """Where every image goes. ``clean`` (D_0), ``private`` and ``held`` are rows of the sensitive set,
    ``degraded`` (D_a) rows of the insensitive set, or of the sensitive one before degradation."""

    clean: Pool = field(default_factory=Pool)
    degraded: Pool = field(default_factory=Pool)
    private: Pool = field(default_factory=Pool)
    held: Pool = field(default_factory=Pool)


def prepare(config: DataConfig, clients: int, seed: int) -> Prepared:
    """Load the configured data and divide it.

    Args:
        config: the data section.
        clients: K.
        seed: the root seed; it chooses targets, owners, halves and held-out images.

    Raises:
        UserError: the data cannot be divided as asked; the message says which number to change.
    """
    source_class = registry.load("data", config.source)
    settings = registry.settings(f"data source {config.source}", source_class.Settings, config.settings)
    dataset: Dataset = source_class(settings, config.root, config.image_size).load()
    if config.one_domain:
        return one_domain.divide(dataset, config, clients, seed)
    degrade = degradation(config)
    skipped = [*dataset.sensitive.skipped, *(dataset.insensitive.skipped if dataset.insensitive else ())]

    own_domain = config.protocol == "domain-pair" and degrade is None
    if own_domain and dataset.insensitive is None:
        raise UserError("This data has no insensitive domain; set data.degradation to mask or blur.")
    if config.protocol == "half-degraded" and degrade is None:
        raise UserError(
            'The protocol "half-degraded" needs a degradation; set data.degradation to blur or mask.'
        )
    insensitive = dataset.insensitive if own_domain else None

    counts = {name: len(rows) for name, rows in dataset.sensitive.by_identity().items()}
    people, left_out = choose_identities(counts, set(insensitive.identities) if insensitive else None, config)
    skipped += left_out
    check_numbers(len(people), config, clients)
    targets = set(derive_numpy(seed, "targets").choice(len(people), config.targets, replace=False).tolist())
    division = _Division()
    rows = dataset.sensitive.by_identity()
    other_rows = insensitive.by_identity() if insensitive is not None else None
    for label, name in enumerate(people):
        rng = derive_numpy(seed, "divide", name)
        own = shuffled(rows[name], rng)[: config.max_images]
        other = shuffled(other_rows[name], rng)[: config.max_images] if other_rows is not None else None
        _divide_person(division, config, label, label in targets, own, other)

    owners = owners_of(division.private.labels, config, clients, seed)
    split = _assemble(division, dataset.sensitive, insensitive, degrade, people, *owners)
    return Prepared(split, dataset.title, dataset.synthetic, skipped)


def _divide_person(
    division: _Division,
    config: DataConfig,
    label: int,
    target: bool,
    rows: list[int],
    insensitive: list[int] | None,
) -> None:
    """Send one person's images where they belong.

    Args:
        rows: the sensitive images.
        insensitive: those of the other domain; None where a degradation makes them from sensitive ones.
    """
    halved = config.protocol == "half-degraded" or (config.disjoint and target and insensitive is None)
    held = min(int(config.held_out * len(rows)), len(rows) - (2 if halved else 1))
    division.held.add(rows[:held], label)
    rows = rows[held:]

    clean, degraded = rows, rows
    if insensitive is not None:
        degraded = insensitive
    elif config.protocol == "half-degraded" and config.clean_public and not target:
        degraded = []
    elif halved:
        middle = len(rows) // 2
        degraded, clean = rows[:middle], rows[middle:]
    division.degraded.add(degraded, label)
    (division.private if target else division.clean).add(clean, label)


def _assemble(
    division: _Division,
    sensitive: ImageSet,
    insensitive: ImageSet | None,
    degrade: Degradation | None,
    people: list[str],
    owners: torch.Tensor,
    designated: torch.Tensor | None,
) -> Split:
    degraded_set = insensitive if insensitive is not None else sensitive
    degraded = np.asarray(degraded_set.pixels[division.degraded.rows])
    if degrade is not None:
        degraded = degrade(degraded, [degraded_set.files[row] for row in division.degraded.rows])
    clean = sensitive.pixels[division.clean.rows]
    public_labels = torch.tensor(division.clean.labels + division.degraded.labels, dtype=torch.int64)
    public = PublicData(
        images=torch.from_numpy(np.concatenate([clean, degraded])),
        labels=public_labels,
        sensitive=torch.arange(len(clean) + len(degraded)) < len(clean),
    )
    labels = torch.tensor(division.private.labels, dtype=torch.int64)
    truth = GroundTruth(
        images=torch.from_numpy(np.ascontiguousarray(sensitive.pixels[division.private.rows])),
        labels=labels,
        owners=owners,
        held_images=torch.from_numpy(np.ascontiguousarray(sensitive.pixels[division.held.rows])),
        held_labels=torch.tensor(division.held.labels, dtype=torch.int64),
        public_labels=public_labels,
        names=people,
        designated=designated,
    )
    return Split(public, truth, len(people))


def degradation(config: DataConfig) -> Degradation | None:
    """The configured degradation with its settings; None where there is none.

    Raises:
        UserError: an unknown name or setting.
    """
    if config.degradation is None:
        return None
    degradation_class = registry.load("degradation", config.degradation)
    settings = registry.settings(
        f"degradation {config.degradation}", degradation_class.Settings, config.degradation_settings
    )
    made: Degradation = degradation_class(settings)
    return made
