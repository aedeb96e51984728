"""Who holds what: the two protocols that divide a data set into public, private and held-out images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from logitleak import registry
from logitleak.config import DataConfig
from logitleak.data.base import Dataset, ImageSet, Skipped
from logitleak.data.degrade.base import Degradation
from logitleak.errors import UserError
from logitleak.sealed.truth import GroundTruth, Split
from logitleak.seeds import derive_numpy
from logitleak.types import PublicData


@dataclass
class _Pool:
    """Images on their way to one side: rows of an image set, with labels."""

    rows: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)

    def add(self, rows: Sequence[int], label: int) -> None:
        self.rows.extend(rows)
        self.labels.extend([label] * len(rows))


@dataclass
class _Division:
    """Where every image goes. ``clean`` (D_0), ``private`` and ``held`` are rows of the sensitive set,
    ``degraded`` (D_a) rows of the insensitive set, or of the sensitive one before degradation."""

    clean: _Pool = field(default_factory=_Pool)
    degraded: _Pool = field(default_factory=_Pool)
    private: _Pool = field(default_factory=_Pool)
    held: _Pool = field(default_factory=_Pool)


@dataclass(frozen=True)
class Prepared:
    """A divided data set with what the report says about it."""

    split: Split
    title: str
    synthetic: bool
    skipped: Sequence[Skipped]


def prepare(config: DataConfig, clients: int, seed: int) -> Prepared:
    """Load the configured data and divide it.

    Args:
        config: the data section.
        clients: K; every private identity goes to exactly one client.
        seed: the root seed; it chooses targets, owners, halves and held-out images.

    Raises:
        UserError: the data cannot be divided as asked; the message says which number to change.
    """
    source_class = registry.load("data", config.source)
    settings = registry.settings(f"data source {config.source}", source_class.Settings, config.settings)
    dataset: Dataset = source_class(settings, config.root, config.image_size).load()
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
        own = _shuffled(rows[name], rng)[: config.max_images]
        other = _shuffled(other_rows[name], rng)[: config.max_images] if other_rows is not None else None
        _divide_person(division, config, label, label in targets, own, other)

    owner = _deal(sorted(targets), clients, seed)
    split = _assemble(division, dataset.sensitive, insensitive, degrade, people, owner)
    return Prepared(split, dataset.title, dataset.synthetic, skipped)


def choose_identities(
    counts: Mapping[str, int], insensitive: set[str] | None, config: DataConfig
) -> tuple[list[str], list[Skipped]]:
    """The identities with most sensitive images, in order of their names, and those that cannot be used.

    Args:
        counts: sensitive images of each identity.
        insensitive: identities with insensitive images; None where a degradation makes those.

    Raises:
        UserError: fewer identities fit than are asked for.
    """
    least = max(config.min_images, 2 if config.protocol == "half-degraded" or config.disjoint else 1)
    usable, left_out = {}, []
    for name, count in sorted(counts.items()):
        if count < least:
            left_out.append(Skipped(name, f"fewer than {least} sensitive images"))
        elif insensitive is not None and name not in insensitive:
            left_out.append(Skipped(name, "no insensitive image"))
        else:
            usable[name] = count
    left_out += [Skipped(name, "no sensitive image") for name in sorted((insensitive or set()) - set(counts))]
    if config.identities is not None and config.identities > len(usable):
        raise UserError(
            f"{config.identities} identities are asked for, and {len(usable)} fit; lower data.identities."
        )
    most = sorted(usable, key=lambda name: (-usable[name], name))[: config.identities]
    return sorted(most), left_out


def check_numbers(people: int, config: DataConfig, clients: int) -> None:
    """Raise a `UserError` unless so many identities can be divided into targets, clients and the rest."""
    if config.max_images == 1 and (
        config.protocol == "half-degraded" or (config.disjoint and config.degradation)
    ):
        raise UserError("Each person's images are halved, so one image is too few; raise data.max_images.")
    if people < 2:
        raise UserError(f"A federation needs at least two identities, and the data has {people} that fit.")
    if config.targets > people:
        raise UserError(
            f"{config.targets} targets are more than the {people} identities; lower data.targets."
        )
    if config.targets == people:
        raise UserError(
            f"All {people} identities are targets, so no sensitive image is public; lower data.targets."
        )
    if clients > config.targets:
        raise UserError(
            f"{clients} clients are more than the {config.targets} targets, and every client needs one; "
            "lower federation.clients or raise data.targets."
        )


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


def _shuffled(rows: list[int], rng: np.random.Generator) -> list[int]:
    return [rows[i] for i in rng.permutation(len(rows))]


def _deal(targets: list[int], clients: int, seed: int) -> dict[int, int]:
    """Each private identity to exactly one client, in turn after a shuffle."""
    order = derive_numpy(seed, "owners").permutation(len(targets))
    return {targets[i]: turn % clients for turn, i in enumerate(order)}


def _assemble(
    division: _Division,
    sensitive: ImageSet,
    insensitive: ImageSet | None,
    degrade: Degradation | None,
    people: list[str],
    owner: dict[int, int],
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
        owners=torch.tensor([owner[label] for label in labels.tolist()], dtype=torch.int64),
        held_images=torch.from_numpy(np.ascontiguousarray(sensitive.pixels[division.held.rows])),
        held_labels=torch.tensor(division.held.labels, dtype=torch.int64),
        public_labels=public_labels,
        names=people,
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
