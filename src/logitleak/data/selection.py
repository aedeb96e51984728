"""Who takes part: which people a data set has enough images of, and whether there are enough of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from logitleak import registry
from logitleak.config import DataConfig
from logitleak.data.base import UNLABELLED, Skipped, Survey
from logitleak.data.partition.base import Partition
from logitleak.errors import UserError
from logitleak.text import as_counted


@dataclass(frozen=True)
class Sizes:
    """How much there will be, images about.

    Attributes:
        people: everybody that takes part.
        targets: how many of them are private.
        classes: J.
        public, private: images.
    """

    people: int
    targets: int
    classes: int
    public: int
    private: int


def partition_of(config: DataConfig) -> Partition:
    """The configured partition with its settings.

    Raises:
        UserError: an unknown name or setting.
    """
    kind = registry.load("partition", config.partition)
    made: Partition = kind(
        registry.settings(f"partition {config.partition}", kind.Settings, config.partition_settings)
    )
    return made


def sizes(config: DataConfig, survey: Survey, people: list[str], labelled: bool) -> Sizes:
    """How much there will be of everything.

    Args:
        config: the data section.
        survey: what the source counted.
        people: who takes part.
        labelled: whether the scheme labels the public set; without, the private people are its classes.
    """
    cap = config.max_images or 10**9
    sensitive = sum(min(cap, survey.sensitive[name]) for name in people)
    if config.one_domain:
        own = survey.public
        public = round(sensitive * config.public_share) if own is None else sum(own.values())
        private = round((sensitive - (public if own is None else 0)) * (1 - config.held_out))
        every = len({*people, *(own or ())} - {UNLABELLED})
        return Sizes(len(people), len(people), every if labelled else len(people), public, private)
    share = config.targets / len(people)
    classes = len(people) if labelled else config.targets
    if config.protocol == "half-degraded":
        public, private = round(sensitive * (1 - share / 2)), round(sensitive * share / 2)
        return Sizes(len(people), config.targets, classes, public, private)
    other = sensitive
    if survey.insensitive is not None and not config.degradation:
        other = sum(min(cap, survey.insensitive[name]) for name in people)
    public, private = round(other + sensitive * (1 - share)), round(sensitive * share)
    return Sizes(len(people), config.targets, classes, public, private)


def _least(config: DataConfig, own_public: bool) -> int:
    """The fewest sensitive images that a person takes part with."""
    halved = config.protocol == "half-degraded" or config.disjoint or (config.one_domain and not own_public)
    return max(config.min_images, 2 if halved else 1)


def choose_identities(
    counts: Mapping[str, int], insensitive: set[str] | None, config: DataConfig, own_public: bool = False
) -> tuple[list[str], list[Skipped]]:
    """The identities with most sensitive images, in order of their names, and those that cannot be used.

    Args:
        counts: sensitive images of each identity.
        insensitive: identities with insensitive images; None where a degradation makes those, or none are needed.
        config: the data section.
        own_public: with "one-domain": whether the source has a public set, so that all of these images are private.

    Raises:
        UserError: fewer identities fit than are asked for.
    """
    least = _least(config, own_public)
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
    return sorted(most, key=as_counted if config.one_domain else None), left_out


def check_numbers(people: int, config: DataConfig, clients: int, own_public: bool = False) -> None:
    """Raise a `UserError` unless so many identities can be divided into targets, clients and the rest.

    Args:
        people: identities with images enough.
        config: the data section.
        clients: K.
        own_public: with "one-domain": whether the source has a public set.
    """
    if config.max_images == 1 and (
        config.protocol == "half-degraded" or (config.disjoint and config.degradation)
    ):
        raise UserError("Each person's images are halved, so one image is too few; raise data.max_images.")
    if people < 2:
        raise UserError(f"A federation needs at least two identities, and the data has {people} that fit.")
    if config.one_domain:
        if config.max_images == 1 and not own_public:
            raise UserError(
                "A share of each class's images is public, so one image is too few; raise data.max_images, or give a "
                "public set."
            )
        partition_of(config).check(people, clients)
        return
    if config.targets > people:
        raise UserError(
            f"{config.targets} targets are more than the {people} identities; lower data.targets."
        )
    if config.targets == people:
        raise UserError(
            f"All {people} identities are targets, so no sensitive image is public; lower data.targets."
        )
    partition_of(config).check(config.targets, clients)
