"""Images of which an audit asks whether they were used: members and others of the same classes, and what clients say
of them.

Members and non-members are one pool: the images of a person that were held out were drawn at random from all of them. A
client is asked as often about the one as about the other, class by class, so that knowing the class says nothing. Where
degraded copies of members are public, and none of the others, the pool is no longer one: then nothing is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from logitleak.config import DataConfig
from logitleak.federation.channel import ClientGroup, Transport, predictions
from logitleak.federation.draws import NotDrawn
from logitleak.files.storage import read_tensors, write_tensors
from logitleak.sealed.game import Game, taking_part
from logitleak.sealed.truth import GroundTruth
from logitleak.seeds import derive
from logitleak.types import Absence, Payload

USUAL = 400
"""How many are asked about where nobody said; what clients would reply is not known of them."""


@dataclass(frozen=True)
class Candidates:
    """Images, and the truth about them.

    Attributes:
        images: uint8 [n, 3, H, W].
        labels: int64 [n].
        clients: int64 [n], whom each is about.
        members: bool [W, n], whether that client used it, by world; one world where coins are not about images.
        coins: whether coins decided about them, in the order of the game.
    """

    images: Tensor
    labels: Tensor
    clients: Tensor
    members: Tensor
    coins: bool = False

    def __len__(self) -> int:
        return len(self.labels)

    def order(self, seed: int) -> Tensor:
        """In which order they are asked about, int64 [n]: members were drawn first, and whoever is asked must not see
        that. Replies are kept in the order in which they were drawn. That of coins says nothing.

        Args:
            seed: the root seed.
        """
        if self.coins:
            return torch.arange(len(self))
        return torch.randperm(len(self), generator=derive(seed, "candidates", "order"))


def told_apart(data: DataConfig, by_image: bool) -> str | None:
    """Why the public set alone tells used images from held-out ones, in one line; None where it does not.

    Args:
        data: how images were divided.
        by_image: whether coins decide about single images: then all of them have a copy, or none.
    """
    if by_image or not data.private_copies:
        return None
    return (
        "Degraded copies of the private images are public, and none of held-out ones, so that the public set alone "
        "tells them apart; use data.disjoint=true, or game.unit=image."
    )


def draw_candidates(truth: GroundTruth, game: Game | None, count: int, seed: int) -> Candidates | None:
    """Choose them; the same ones for the same seed.

    Where coins are about single images those are asked about, in all worlds. Else, in the first world, images that a
    client used and held-out ones of the same classes, as many of each; a held-out image is asked about once.

    Args:
        truth: who holds what.
        game: who was in.
        count: at most so many.
        seed: the root seed: the choice says who is in.

    Returns:
        None where there are none: nothing was held out, or nobody said who owns what.
    """
    if bool((truth.owners < 0).any()):
        return None
    if game is not None and game.rows is not None:
        return Candidates(truth.images[game.rows], truth.labels[game.rows], game.strata, game.coins, True)
    used, _ = taking_part(truth, game)
    pairs = _pairs(truth, used, seed)[: count // 2]
    if not pairs:
        return None
    inside, outside = (torch.tensor(side) for side in zip(*pairs, strict=True))
    clients = truth.owners[inside]
    return Candidates(
        images=torch.cat([truth.images[inside], truth.held_images[outside]]),
        labels=torch.cat([truth.labels[inside], truth.held_labels[outside]]),
        clients=torch.cat([clients, clients]),
        members=torch.arange(2 * len(pairs))[None] < len(pairs),
    )


def _pairs(truth: GroundTruth, used: Tensor, seed: int) -> list[tuple[int, int]]:
    """Used images with held-out ones of the same class, in random order; every image once."""
    generator = derive(seed, "candidates")
    waiting: dict[int, list[int]] = {}
    for place in torch.randperm(len(truth.held_labels), generator=generator).tolist():
        waiting.setdefault(int(truth.held_labels[place]), []).append(place)
    order = torch.nonzero(used).flatten()
    order = order[torch.randperm(len(order), generator=generator)]
    return [
        (row, waiting[label].pop())
        for row, label in zip(order.tolist(), truth.labels[order].tolist(), strict=True)
        if waiting.get(label)
    ]


class AskingTransport:
    """A way to the clients that also keeps what each would say of the candidates whenever it uploads. A client of which
    nothing is asked in a round says what it said before: nothing else is known of it. One that was never asked says the
    same of every class.

    Args:
        inner: the way to the clients.
        groups: their models.
        upload: the action with which they upload.
        images: uint8 [n, 3, H, W].
        folder: where replies are kept.
    """

    def __init__(
        self, inner: Transport, groups: list[ClientGroup], upload: str, images: Tensor, folder: Path
    ) -> None:
        self.clients = inner.clients
        self._inner, self._groups, self._upload = inner, groups, upload
        self._images, self._folder = images, folder

    def ask(self, action: str, round: int, message: Payload | None = None) -> Mapping[int, Payload | Absence]:
        """Pass it on; see `Transport.ask`."""
        answers = self._inner.ask(action, round, message)
        if action == self._upload:
            said = dict(predictions(self._groups, self._images))
            replies = torch.stack([said[k] for k in range(self.clients)])
            silent = [k for k, answer in answers.items() if isinstance(answer, NotDrawn)]
            if silent:
                before = self._file(round - 1)
                replies[silent] = read_tensors(before)["replies"][silent] if before.is_file() else 0.0
            write_tensors(self._file(round), {"replies": replies})
        return answers

    def _file(self, round: int) -> Path:
        return self._folder / f"round-{round:02d}.safetensors"


def read_replies(folder: Path, rounds: int) -> dict[int, Tensor]:
    """What was kept, float32 [K, n, J] by round; empty where nobody asked, or not in every round.

    Raises:
        UserError: a file is damaged.
    """
    files = {round: folder / f"round-{round:02d}.safetensors" for round in range(1, rounds + 1)}
    if not all(file.is_file() for file in files.values()):
        return {}
    return {round: read_tensors(file)["replies"] for round, file in files.items()}
