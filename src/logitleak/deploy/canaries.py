"""Canaries: made-up people planted in a real federation, some of whom take part and some of whom do not.

Real people all take part, so nothing tells what an attack rebuilt of them from what it guessed. Canaries make the
comparison: everybody's public set shows all of them, and a sealed coin decides for each whether a client uses its
private images or nobody does. Whatever is drawn here comes from the operating system, never from a seed: the seed is
in everybody's configuration, and whoever attacks a live federation may know it.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from logitleak import registry
from logitleak.config import DataConfig
from logitleak.data.degrade.base import Pixels
from logitleak.data.split import degradation
from logitleak.errors import UserError
from logitleak.people.generate import render_images
from logitleak.people.identity import Identity, sample_identity
from logitleak.sealed.game import Game, recorded
from logitleak.sealed.truth import GroundTruth, Split
from logitleak.types import PublicData

LEAST, MOST = 4, 200
"""Fewer canaries show nothing; more take hours to render."""

_MOST_IMAGES = 50  # of one canary on one side, however many a target has
_VARIATION, _SUPERSAMPLE = (
    0.45,
    3,
)  # as the people that ship with the tool: like an aligned set of photographs
_DOMAINS = {"lag": "young"}  # the renderer's counterpart of a source's own insensitive domain


def check_plan(count: int, data: DataConfig) -> None:
    """Raise a `UserError` unless so many canaries can be planted among such data; 0 plants none."""
    if count and not LEAST <= count <= MOST:
        raise UserError(
            f"{count} canaries cannot be planted; give --canaries a number from {LEAST} to {MOST}, or 0 for none."
        )
    if count and data.one_domain:  # a canary is told by its public pictures, which are of the other domain
        raise UserError(
            'Canaries need a second domain for their public images, and the protocol "one-domain" has none; leave '
            "--canaries out, or choose another data.protocol."
        )


@dataclass(frozen=True)
class _Likeness:
    """What a canary must have in order to be like a target.

    Attributes:
        private, public: how many images on either side.
        shared: whether the public images are degraded from the private photos, and not from others.
        domain: what the renderer pictures for the public side; None where a degradation makes it of the plain picture.
    """

    private: int
    public: int
    shared: bool
    domain: str | None


def plant(split: Split, data: DataConfig, clients: int, count: int) -> Split:
    """A divided data set with canaries: targets with the highest labels, their public images behind all others.

    They are dealt to the clients in turn, going on where the targets ended, in an order that nobody can derive. The
    division is the same whatever the coins, which `toss` throws afterwards.

    Args:
        split: the data, divided, with a label for everybody.
        data: how they were divided; canaries get as many images as a typical target, degraded alike.
        clients: K.
        count: how many canaries.
    """
    truth, like = split.truth, _likeness(split, data)
    seed, side = _seed(), data.image_size
    first = len(truth.names)
    private, public = [], []
    for number in range(count):
        own, other = _pictures(sample_identity(seed, number), seed, like, data, side)
        private.append(torch.from_numpy(own))
        public.append(torch.from_numpy(other))
    labels = torch.arange(first, first + count)
    targets = len(truth.target_labels)
    owners = torch.tensor(_shuffled([(targets + turn) % clients for turn in range(count)]))
    shown = labels.repeat_interleave(like.public)
    return Split(
        public=PublicData(
            images=torch.cat([split.public.images, *public]),
            labels=None if split.public.labels is None else torch.cat([split.public.labels, shown]),
            sensitive=torch.cat([split.public.sensitive, torch.zeros(len(shown), dtype=torch.bool)]),
        ),
        truth=GroundTruth(
            images=torch.cat([truth.images, *private]),
            labels=torch.cat([truth.labels, labels.repeat_interleave(like.private)]),
            owners=torch.cat([truth.owners, owners.repeat_interleave(like.private)]),
            held_images=truth.held_images,
            held_labels=truth.held_labels,
            public_labels=torch.cat([truth.public_labels, shown]),
            names=[*truth.names, *(f"canary-{number:03d}" for number in range(count))],
            designated=None if truth.designated is None else torch.cat([truth.designated, owners]),
        ),
        num_classes=split.num_classes + count,
    )


def toss(truth: GroundTruth, count: int) -> Game:
    """Throw the coins: which of the last so many targets take part. The others always do.

    Args:
        truth: of a division with canaries, with or without labels on its public set (see `truth.unlabelled`).
        count: how many of its targets are canaries.
    """
    units = truth.target_labels[-count:].tolist()
    coins = _coins(count)
    inside = [unit for unit, coin in zip(units, coins, strict=True) if coin]
    outside = [unit for unit, coin in zip(units, coins, strict=True) if not coin]
    return recorded(inside, outside, {unit: truth.owner_of(unit) for unit in units}, "canaries", 0.5)


def _coins(count: int) -> list[bool]:
    """Independent fair coins. Where all fell alike there is nothing to compare, so all are thrown again."""
    while True:
        coins = [bool(secrets.randbits(1)) for _ in range(count)]
        if any(coins) and not all(coins):
            return coins


def _seed() -> int:
    """What decides how canaries look. Whoever knew it could render their private images."""
    return secrets.randbits(128)


def _shuffled(clients: Sequence[int]) -> list[int]:
    """Who holds which canary; by itself its number would tell."""
    dealt = list(clients)
    secrets.SystemRandom().shuffle(dealt)
    return dealt


def _likeness(split: Split, data: DataConfig) -> _Likeness:
    truth = split.truth
    targets = truth.target_labels
    public = truth.public_labels[~split.public.sensitive]
    shared = data.degradation is not None and data.protocol == "domain-pair" and not data.disjoint
    return _Likeness(
        private=_typical(truth.labels, targets),
        public=_typical(public, targets),
        shared=shared,
        domain=None if data.degradation is not None else _insensitive_domain(data),
    )


def _typical(labels: Tensor, targets: Tensor) -> int:
    """How many images most targets have: the median, at least one."""
    counts = [int((labels == target).sum()) for target in targets.tolist()]
    return min(max(1, median_low(counts)), _MOST_IMAGES)


def _insensitive_domain(data: DataConfig) -> str:
    """The domain of the renderer in place of a source's own insensitive one: the configured one of synthetic people,
    young people for ages, and a mask where nobody can say what the insensitive images show."""
    if data.source == "synthetic":
        settings = registry.load("data", data.source).Settings
        chosen = registry.settings(f"data source {data.source}", settings, data.settings)
        return str(chosen.insensitive)
    return _DOMAINS.get(data.source, "masked")


def _pictures(
    identity: Identity, seed: int, like: _Likeness, data: DataConfig, side: int
) -> tuple[Pixels, Pixels]:
    """A canary's private and public images, uint8 [n, 3, side, side] and [m, 3, side, side]."""
    plain = like.private if like.shared or like.domain is not None else like.private + like.public
    drawn = _sized(identity, "adult", plain, seed, side)
    private = drawn[: like.private]
    if like.domain is not None:
        return private, _sized(identity, like.domain, like.public, seed, side)
    degrade = degradation(data)
    assert degrade is not None
    files = [f"canary-{identity.index:03d}/{number:03d}" for number in range(plain)]
    chosen = slice(0, like.public) if like.shared else slice(like.private, None)
    return private, degrade(drawn[chosen], files[chosen])


def _sized(identity: Identity, domain: str, count: int, seed: int, side: int) -> Pixels:
    """Pictures uint8 [count, 3, side, side], resized as files are when they are decoded."""
    drawn = render_images(
        identity, domain, range(count), seed=seed, variation=_VARIATION, supersample=_SUPERSAMPLE
    )
    if drawn.shape[1] != side:
        size = (side, side)
        drawn = np.stack(
            [np.asarray(Image.fromarray(one).resize(size, Image.Resampling.LANCZOS)) for one in drawn]
        )
    return np.ascontiguousarray(drawn.transpose(0, 3, 1, 2))
