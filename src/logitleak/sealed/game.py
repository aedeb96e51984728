"""Games: which private people take part in which world, decided by sealed coins.

What an attack shows of a person is worth nothing as evidence until it is compared with what it shows where that
person's private images were never used. A *game* makes both cases. Its *units* are in or out by a coin: in *twin
worlds* the federation runs several times and every unit is in in half of the worlds; with *decoys* it runs once and a
share of the units is withheld; *canaries* are made-up people whom the operator of a live federation plants or
withholds; a *recorded* game was played elsewhere, by coins that nobody here saw.

Attacks never import this file: nobody who attacks may know, or be able to derive, who is in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from logitleak.errors import UserError
from logitleak.sealed.truth import GroundTruth
from logitleak.seeds import derive

Design = Literal["twins", "decoys", "canaries", "recorded"]

Unit = Literal["person", "person-at-client", "image"]
"""What is in or out as a whole: a person everywhere; a person at one client, the others keep theirs; or one image of a
person at one client. The client is the designated one."""


@dataclass(frozen=True)
class Game:
    """Who is in.

    Attributes:
        design: where the coins are from.
        units: int64 [n], the labels of the people in the game, ascending. Targets that are no units always take part.
        strata: int64 [n], the client that would hold each of them, the designated one of several; −1 where nobody said.
        coins: bool [W, n], True where a unit is in, by world.
        unit: what one coin decides about.
        rows: int64 [n], the private image that each coin decides about, where the unit is an image; else None.
        share: the probability with which an independent coin withheld each unit; None where coins were balanced, or
            nobody said.
    """

    design: Design
    units: Tensor
    strata: Tensor
    coins: Tensor
    unit: Unit = "person"
    rows: Tensor | None = None
    share: float | None = None

    def __post_init__(self) -> None:
        if self.coins.shape[1:] != self.units.shape or self.strata.shape != self.units.shape:
            raise ValueError("a game needs one stratum and, in every world, one coin for each unit")
        if (self.unit == "image") != (self.rows is not None and self.rows.shape == self.units.shape):
            raise ValueError("a game of images needs one of them for each unit, and no other game does")

    @property
    def at_client(self) -> bool:
        """Whether a coin is about one client's images, so that the client is a part of the question."""
        return self.unit != "person"

    @property
    def worlds(self) -> int:
        """W, how often the federation runs."""
        return len(self.coins)

    @property
    def paired(self) -> bool:
        """Whether every unit is seen both in and out."""
        return bool(self.coins.any(0).all() and (~self.coins).any(0).all())

    @property
    def kept(self) -> float:
        """At least with which chance fair coins are kept and not thrown again: coins by which nobody is in, nobody is
        out, or a client has nothing left, are refused."""
        everything = 2.0 ** -len(self.units)
        if self.design != "decoys" or self.at_client:
            return 1 - 2 * everything
        chance = 1.0
        for _, members in _by_stratum(self.strata):
            chance *= 1 - 2.0 ** -len(members)
        return max(0.0, chance - everything)

    def withheld(self, world: int) -> Tensor:
        """The labels of the units that are out in a world, int64, ascending."""
        return self.units[~self.coins[world]]

    def belonging(self, truth: GroundTruth) -> Tensor:
        """Which private images each coin decides about, bool [n, m]: the same ones are what reconstructions of a unit
        are compared with."""
        labels = truth.labels[None] == self.units[:, None]
        if self.unit == "person":
            return labels
        if self.rows is not None:
            return torch.arange(len(truth.labels))[None] == self.rows[:, None]
        return labels & (truth.owners[None] == self.strata[:, None])

    def used(self, truth: GroundTruth, world: int) -> Tensor:
        """Which private images may be used in a world, bool [m]. It governs training and nothing else: what is
        compared, asked and announced is the same in every world."""
        return ~self.belonging(truth)[~self.coins[world]].any(0)

    def known(self, labels: Tensor, world: int) -> Tensor:
        """Of which held-out images, by their labels int64 [m], somebody may know the person in a world: bool [m]."""
        if self.unit == "person":
            return ~torch.isin(labels, self.withheld(world))
        return torch.ones(len(labels), dtype=torch.bool)


def held_images(truth: GroundTruth, game: Game | None) -> dict[int, list[int]]:
    """By client how many private images it has in each world; a client without any in all of them is left out."""
    everything = torch.ones(len(truth.labels), dtype=torch.bool)
    used = [everything] if game is None else [game.used(truth, world) for world in range(game.worlds)]
    return {
        client: [int((truth.owners[mask] == client).sum()) for mask in used]
        for client in truth.owners.unique().tolist()
    }


def taking_part(truth: GroundTruth, game: Game | None, world: int = 0) -> tuple[Tensor, Tensor]:
    """Which private images train in a world, and which held-out ones count, bool each; all where no game is played."""
    if game is None:
        images, held = (torch.ones(len(each), dtype=torch.bool) for each in (truth.labels, truth.held_labels))
        return images, held
    return game.used(truth, world), game.known(truth.held_labels, world)


def twins(
    units: Tensor,
    strata: Tensor,
    worlds: int,
    seed: int,
    unit: Unit = "person",
    rows: Tensor | None = None,
    shared: bool = False,
) -> Game:
    """Halve the units of every client at random; one half is in in one world, the other in the next.

    With more than two worlds every pair of them is halved anew. Where a client has an odd number the worlds take turns
    with the larger half, so that they stay balanced.

    Args:
        units: int64 [n], ascending.
        strata: int64 [n], the client of each.
        worlds: W, even.
        seed: the root seed. Attacks get another one.
        unit, rows: what one coin decides about; see `Game`.
        shared: whether a client keeps images whoever is out, because clients share classes or single images are out:
            units of clients that have one only are then halved together.

    Raises:
        UserError: a client has one unit only. In one of the worlds it would have nothing to learn from.
    """
    if worlds < 2 or worlds % 2:
        raise UserError(f"Twin worlds come in pairs; set game.worlds to an even number, not {worlds}.")
    groups = _grouped(strata) if shared else strata
    for client, members in _by_stratum(groups):
        if len(members) < 2 and not shared:
            raise UserError(
                f"Client {client} holds one target only, and would have no image in one of two twin worlds; raise "
                "data.targets to at least twice federation.clients, or use game.design=decoys."
            )
    coins = torch.zeros(worlds, len(units), dtype=torch.bool)
    for pair in range(0, worlds, 2):
        odd = 0
        for client, members in _by_stratum(groups):
            order = torch.randperm(len(members), generator=derive(seed, "game", "twins", pair, client))
            half = (len(members) + (odd + pair // 2) % 2) // 2
            odd += len(members) % 2
            coins[pair, members[order[:half]]] = True
        coins[pair + 1] = ~coins[pair]
    return Game("twins", units, strata, coins, unit, rows)


def decoys(
    units: Tensor,
    strata: Tensor,
    share: float,
    seed: int,
    unit: Unit = "person",
    rows: Tensor | None = None,
    shared: bool = False,
) -> Game:
    """Withhold each unit by an independent coin in one federation.

    Args:
        units: int64 [n], ascending.
        strata: int64 [n], the client of each.
        share: the probability that a unit is withheld.
        seed: the root seed. Attacks get another one.
        unit, rows, shared: as for `twins`.

    Raises:
        UserError: by these coins nobody is in, nobody is out, or a client is left without an image.
    """
    drawn = torch.rand(len(units), generator=derive(seed, "game", "decoys")) >= share
    game = Game("decoys", units, strata, drawn[None], unit, rows, share)
    if bool(drawn.all()) or not bool(drawn.any()):
        raise UserError(
            f"With this seed the coins of game.share={share:g} leave nobody to compare with; raise data.targets, or "
            "choose another game.share or seed."
        )
    for client, members in () if shared else _by_stratum(strata):
        if not bool(drawn[members].any()):
            raise UserError(
                f"The coins withhold everybody at client {client}, which then has nothing to learn from; lower "
                "game.share, raise data.targets, or choose another seed."
            )
    return game


def recorded(
    inside: Sequence[int],
    outside: Sequence[int],
    owners: dict[int, int],
    design: Literal["recorded", "canaries"] = "recorded",
    share: float | None = None,
) -> Game:
    """A game that was played in one federation elsewhere: who took part and who did not, by label.

    Args:
        inside, outside: labels.
        owners: the client that would hold each of them, where somebody said.
        design: whose coins they were.
        share: the probability with which they withheld; see `Game`.
    """
    units = torch.tensor(sorted({*inside, *outside}), dtype=torch.int64)
    strata = torch.tensor([owners.get(unit, -1) for unit in units.tolist()], dtype=torch.int64)
    coins = torch.isin(units, torch.tensor(list(inside)))[None]
    return Game(design, units, strata, coins, share=share)


def one_image_each(truth: GroundTruth, units: Tensor, strata: Tensor, seed: int) -> Tensor:
    """For each unit one image of the person at its client, int64 [n] rows of the private images, drawn at random.

    Args:
        truth: who holds what.
        units: int64 [n], labels.
        strata: int64 [n], the client of each.
        seed: the root seed.
    """
    rows = []
    for unit, client in zip(units.tolist(), strata.tolist(), strict=True):
        own = torch.nonzero((truth.labels == unit) & (truth.owners == client)).flatten()
        rows.append(own[torch.randint(len(own), (1,), generator=derive(seed, "game", "image", unit))])
    return torch.cat(rows)


def _grouped(strata: Tensor) -> Tensor:
    """The same strata, but those with one unit only are one group, −2."""
    _, places, counts = torch.unique(strata, return_inverse=True, return_counts=True)
    return torch.where(counts[places] < 2, -2, strata)


def _by_stratum(strata: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Each client with the places of its units."""
    for client in torch.unique(strata).tolist():
        yield client, torch.nonzero(strata == client).flatten()
