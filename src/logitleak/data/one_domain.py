"""The protocol without a second domain: any classes, divided among clients, and a public set that is other images."""

from __future__ import annotations

import numpy as np
import torch

from logitleak.config import DataConfig
from logitleak.data.base import UNLABELLED, Dataset, ImageSet, Skipped
from logitleak.data.division import Pool, Prepared, owners_of, shuffled
from logitleak.data.selection import check_numbers, choose_identities
from logitleak.sealed.truth import GroundTruth, Split
from logitleak.seeds import derive_numpy
from logitleak.text import as_counted
from logitleak.types import PublicData


def divide(dataset: Dataset, config: DataConfig, clients: int, seed: int) -> Prepared:
    """Divide a data set of one domain; all of the public set is D_0.

    All classes are private. The public set is the source's own, whose classes may be others, or a share of each class's
    images. Classes are numbered in the order that people count in, over both sets, so that a class which one of them
    lacks keeps its number.

    Args:
        dataset: the images; those of the second domain, if there are any, are not used.
        config: the data section.
        clients: K.
        seed: the root seed.

    Raises:
        UserError: the data cannot be divided as asked.
    """
    rows = dataset.sensitive.by_identity()
    counts = {name: len(own) for name, own in rows.items()}
    chosen, left_out = choose_identities(counts, None, config, own_public=dataset.public is not None)
    check_numbers(len(chosen), config, clients, own_public=dataset.public is not None)
    others = set() if dataset.public is None else set(dataset.public.identities) - {UNLABELLED}
    names = sorted({*chosen, *others}, key=lambda name: (as_counted(name), name))
    public, private, held = Pool(), Pool(), Pool()
    for name in chosen:
        label, own = names.index(name), shuffled(rows[name], derive_numpy(seed, "divide", name))
        own = own[: config.max_images]
        share = min(max(1, round(config.public_share * len(own))), len(own) - 1)  # one image stays private
        shown = 0 if dataset.public is not None else share
        kept_back = min(int(config.held_out * (len(own) - shown)), len(own) - shown - 1)
        public.add(own[:shown], label)
        held.add(own[shown : shown + kept_back], label)
        private.add(own[shown + kept_back :], label)
    labels = torch.tensor(private.labels)
    owners, designated = owners_of(private.labels, config, clients, seed)
    seen, seen_labels = _public(dataset, public, names)
    truth = GroundTruth(
        images=_pixels(dataset.sensitive, private.rows),
        labels=labels,
        owners=owners,
        held_images=_pixels(dataset.sensitive, held.rows),
        held_labels=torch.tensor(held.labels, dtype=torch.int64),
        public_labels=seen_labels,
        names=names,
        designated=designated,
    )
    known = None if bool((seen_labels < 0).any()) else seen_labels
    skipped: list[Skipped] = [*dataset.sensitive.skipped, *left_out]
    skipped += [] if dataset.public is None else dataset.public.skipped
    split = Split(PublicData(seen, known, torch.ones(len(seen), dtype=torch.bool)), truth, len(names))
    return Prepared(split, dataset.title, dataset.synthetic, skipped)


def _public(dataset: Dataset, share: Pool, names: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Public images uint8 [N, 3, H, W], and their labels int64 [N]; −1 where nobody labelled them."""
    if dataset.public is None:
        return _pixels(dataset.sensitive, share.rows), torch.tensor(share.labels, dtype=torch.int64)
    number = {name: label for label, name in enumerate(names)} | {UNLABELLED: -1}
    labels = torch.tensor([number[name] for name in dataset.public.identities], dtype=torch.int64)
    return _pixels(dataset.public, list(range(len(dataset.public)))), labels


def _pixels(images: ImageSet, rows: list[int]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(images.pixels[np.array(rows, np.int64)]))
