"""Who plays whom in the federation that the server plays by itself: which public images stand for private ones, who of
the mock clients holds them, and by which coins they are in.

It is made like the real one, from what the server may suppose to know: the public set, the partition with its settings,
how many clients there are, and what a coin of the game is about. Nothing in it is private.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from logitleak.attacks.mock import candidates_for_targets
from logitleak.config import Config
from logitleak.data.division import owners_of
from logitleak.data.selection import partition_of
from logitleak.errors import UserError
from logitleak.sealed.game import Game
from logitleak.sealed.truth import GroundTruth, Split
from logitleak.seeds import derive, derive_int
from logitleak.stages.federate import draw
from logitleak.types import Knowledge, LabelledPublicData, PublicData

ROUNDS = 3
"""Mock federations have no more rounds than this: what comes back, comes back early, and rounds are what costs."""

SHARE = 4
"""At most one in so many public people plays a private one, where all sensitive images of a person then do."""

HALF = 2
"""Where public and private images are of the same classes, one in so many of a class's public images plays a private
one: enough for a client to learn from, and enough to invert by."""

LEAST = 4
"""With fewer mock targets nothing is told apart."""


@dataclass(frozen=True)
class Cast:
    """A mock federation before it is played.

    Attributes:
        config: the run's, with as many clients and rounds as are played, two worlds, and the lab's seed.
        split: the public set, divided.
        game: who is in in which of two worlds.
        folder: what to call its folder.
    """

    config: Config
    split: Split
    game: Game
    folder: str


def cast(knowledge: Knowledge, config: Config, seed: int) -> Cast | str:
    """Divide the public set as if a part of it were private, and throw the coins.

    Args:
        knowledge: the real server's.
        config: the run's.
        seed: of the attacker: neither owners nor coins of the real federation can be derived from it.

    Returns:
        the cast; or, in one line, why there can be none.
    """
    if knowledge.public.labels is None:
        return "the public set has no labels, so nobody in it can play a private person"
    seed = derive_int(seed, "lab")
    usable, whole, why = _usable(knowledge)
    most = min(len(knowledge.target_labels), len(usable) // SHARE if whole else len(usable))
    mock = played(config, most, seed)
    if most < LEAST or mock.federation.clients < 1:
        return why
    chosen = usable[torch.randperm(len(usable), generator=derive(seed, "people"))[:most]].sort().values
    try:
        split = _split(knowledge, chosen, whole, mock)
        game = draw(mock, split.truth)
    except UserError as error:
        return f"public people cannot be divided as private ones are (data.partition={config.data.partition}): {error}"
    assert game is not None  # twins are a design
    unit, partition = mock.game.unit, config.data.partition
    usual = unit == "person" and partition == "identity"
    return Cast(mock, split, game, "mock" if usual else f"mock-{partition}-{unit}")


def _usable(knowledge: Knowledge) -> tuple[Tensor, bool, str]:
    """Labels that can be mock targets, int64 ascending; whether all sensitive images of those that are become private,
    and not a part of them; and what to say where they are too few."""
    public = knowledge.public.labelled()
    if not bool(public.sensitive.all()):
        return candidates_for_targets(public), True, "too few public people have images in both domains"
    if not bool(torch.isin(knowledge.target_labels, public.labels).any()):  # a public set of other classes
        return (
            torch.unique(public.labels),
            True,
            "the public set has too few classes for some to play private ones",
        )
    labels, counts = torch.unique(public.labels, return_counts=True)
    why = "too few classes have two public images, of which one could play a private one"
    return labels[counts >= HALF], False, why


def played(config: Config, most: int, seed: int) -> Config:
    """The run's configuration with what differs in the mock federation, where so many people are targets."""
    real, unit = config.federation, config.game.unit if config.game.design != "none" else "person"
    clients = real.clients
    if partition_of(config.data).exclusive:  # in each world every client needs somebody who is in
        clients = min(clients, most if unit == "image" else most // 2)
    share = real.participation
    if clients:  # where real clients have company in a round, or a sum needs it, mock clients have it too
        share = min(1.0, max(share, min(2, real.drawn) / clients))
    smaller = real.model_copy(
        update={"clients": clients, "rounds": min(real.rounds, ROUNDS), "participation": share}
    )
    minimum = None if real.minimum_clients is None else min(real.minimum_clients, smaller.drawn)
    game = config.game.model_copy(update={"design": "twins", "worlds": 2, "unit": unit})
    return config.model_copy(
        update={
            "federation": smaller.model_copy(update={"minimum_clients": minimum}),
            "game": game,
            "seed": seed,
        }
    )


def _split(knowledge: Knowledge, chosen: Tensor, whole: bool, played: Config) -> Split:
    """The public set, divided as if the sensitive images of some people, or a part of them, were private.

    Raises:
        UserError: they cannot be divided among the clients as configured.
    """
    public = knowledge.public.labelled()
    private = public.sensitive & torch.isin(public.labels, chosen)
    if not whole:
        private &= _some_of_each(public, chosen, played.seed)
    labels = public.labels[private]
    owners, designated = _owners(labels, chosen, played)
    seen = PublicData(public.images[~private], public.labels[~private], public.sensitive[~private])
    truth = GroundTruth(
        images=public.images[private],
        labels=labels,
        owners=owners,
        held_images=public.images[:0],
        held_labels=public.labels[:0],
        public_labels=public.labels[~private],
        names=[str(label) for label in range(knowledge.num_classes)],
        designated=designated,
    )
    return Split(seen, truth, knowledge.num_classes)


def _some_of_each(public: LabelledPublicData, chosen: Tensor, seed: int) -> Tensor:
    """Which public images play private ones where the others of their classes stay public, bool [N]."""
    drawn = torch.zeros(len(public.labels), dtype=torch.bool)
    for label in chosen.tolist():
        rows = torch.nonzero(public.labels == label).flatten()
        order = torch.randperm(len(rows), generator=derive(seed, "private", label))
        drawn[rows[order[: len(rows) // HALF]]] = True
    return drawn


def _owners(labels: Tensor, chosen: Tensor, played: Config) -> tuple[Tensor, Tensor | None]:
    """Who of the mock clients owns each private image, and who stands for each label; see `owners_of`.

    The paper's partition is dealt out here as it was before there were others: what was chosen by it stays.
    """
    clients, seed = played.federation.clients, played.seed
    if played.data.partition == "identity":
        order = torch.randperm(len(chosen), generator=derive(seed, "owners")).tolist()
        owner = {int(chosen[place]): turn % clients for turn, place in enumerate(order)}
        return torch.tensor([owner[label] for label in labels.tolist()]), None
    partition_of(played.data).check(len(chosen), clients)
    return owners_of(labels.tolist(), played.data, clients, seed)
