"""Where the scores of audits meet the truth: who holds what, and by which coin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from logitleak.audits.base import Answer, Asked
from logitleak.files.storage import read_tensors
from logitleak.metrics import exposure
from logitleak.metrics.detection import area
from logitleak.metrics.leak import rounded, significant
from logitleak.metrics.paired import paired_difference
from logitleak.metrics.proportion import clustered
from logitleak.sealed.files import read_game, read_truth
from logitleak.sealed.game import Game, taking_part
from logitleak.sealed.truth import GroundTruth
from logitleak.stages.folder import RunFolder
from logitleak.stages.lab import MockTwins
from logitleak.types import ServerView

Answers = Sequence[tuple[Sequence[int], Tensor]]
"""Of one world: whom an answer is about, and the numbers: a row for each of these clients, or one for all."""


@dataclass(frozen=True)
class Scored:
    """What one variant of an audit answered.

    Attributes:
        audit, onlooker, variant: which.
        answer: what the numbers are.
        worlds: the numbers, by world.
    """

    audit: str
    onlooker: str
    variant: str
    answer: Answer
    worlds: Sequence[Answers]


@dataclass
class Truth:
    """What is known of a run.

    Attributes:
        truth: who holds which image.
        game: who was in; None where everybody was.
        targets: int64 [T].
        owners: int64 [T], the client that stands for each; −1 where nobody said.
        predicted: what clients [K, n] and server [n] say of the held-out images; None where nobody measured it.
        members: of candidates, bool [W, n].
    """

    truth: GroundTruth
    game: Game | None
    targets: Tensor
    owners: Tensor
    predicted: dict[str, Tensor] | None = None
    members: Tensor | None = None

    @classmethod
    def of_run(cls, truth: GroundTruth, game: Game | None, folder: RunFolder, view: ServerView) -> Truth:
        """Of a run, whose truth and coins were read."""
        targets = view.knowledge.target_labels
        known = set(truth.labels.tolist())
        owners = torch.tensor([truth.owner_of(j) if j in known else -1 for j in targets.tolist()])
        predicted = read_tensors(folder.predicted) if folder.predicted.exists() else None
        return cls(truth, game, targets, owners, predicted)

    @classmethod
    def of_mock(cls, twins: MockTwins) -> Truth:
        """Of the server's own federation."""
        return cls(twins.truth, twins.game, twins.known.labels, twins.known.owners)

    @property
    def places(self) -> Tensor:
        """Where the units of the game are among the targets, int64 [n]."""
        return (
            torch.searchsorted(self.targets, self.game.units)
            if self.game
            else torch.arange(len(self.targets))
        )

    def holdings(self, world: int, clients: int) -> Tensor:
        """Images of each target that each client uses in a world, int64 [K, T]."""
        used, _ = taking_part(self.truth, self.game, world)
        return self.truth.holdings(clients, self.targets, used)

    def probes(self) -> Asked:
        """The held-out images on which models of the first world were compared, with what the server's own says."""
        if self.predicted is None:
            return Asked.nothing()
        labels = self.truth.held_labels
        _, kept = taking_part(self.truth, self.game)
        if int(kept.sum()) != len(self.predicted["server"]) or not bool(kept.any()):
            return Asked.nothing()
        server = F.one_hot(self.predicted["server"]).float()[None]
        nobody = torch.zeros(int(kept.sum()), dtype=torch.int64)
        return Asked(self.truth.held_images[kept], labels[kept], nobody, rivals={_SERVER: server})


def truth_of(folder: RunFolder, view: ServerView) -> Truth | None:
    """What the sealed folder says; None without one."""
    if not (folder.sealed / "truth.safetensors").exists():
        return None
    return Truth.of_run(read_truth(folder.sealed), read_game(folder.sealed), folder, view)


def judge(scored: Scored, truth: Truth | None, beside: Sequence[Scored]) -> dict[str, Any]:
    """What one variant's numbers are worth; its name alone without the truth.

    Args:
        scored: the numbers.
        truth: None where nobody has it.
        beside: all variants of the same answer. The first was named beforehand: it is the only one that a bound on ε is
            taken from, and what others are compared with.
    """
    primary = beside[0]
    first = scored is primary
    found: dict[str, Any] = {}
    if truth is not None and scored.answer == "membership":
        found = _membership(scored, truth, first)
    elif truth is not None and scored.answer == "records":
        found = _records(scored, truth, primary)
    elif truth is not None and scored.answer == "shares":
        found = {"shares": _shares(scored, truth)}
    elif truth is not None:
        found = {"models": _models(scored, truth, beside)}
    return {"variant": scored.variant} | found


def apart(about: Sequence[int], values: Tensor) -> bool:
    """Whether an answer tells the clients that it is about apart."""
    return len(values) == len(about)


def _membership(scored: Scored, truth: Truth, first: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if truth.game is not None and truth.game.unit == "image":
        if first:  # whoever misses one image still holds the others
            found["epsilon"] = {"none": "coins of single images are not about who is at which client."}
    elif truth.game is not None:
        units = torch.stack([_of_owners(world, truth) for world in scored.worlds])[:, truth.places]
        found["game"] = _game(exposure.of_game(units, truth.game, truth.places))
        if first:
            found["epsilon"] = exposure.of_epsilon(units, truth.game)
    elif first:
        found["epsilon"] = {"none": exposure.no_epsilon(None)}
    one_by_one = all(len(world) == 1 and apart(*world[0]) for world in scored.worlds)
    if one_by_one and len(truth.truth.labels) and bool((truth.owners >= 0).all()):
        values = torch.stack([values for ((_, values),) in scored.worlds])
        held = torch.stack([truth.holdings(number, values.shape[1]) for number in range(len(values))])
        found["clients"] = exposure.among_clients(values, held > 0, (held > 0).any(1))
    return found


def _of_owners(world: Answers, truth: Truth) -> Tensor:
    """Of each target the score of the client that stands for it, or of the sum that its data are in, float64 [T]; the
    highest score of all where nobody said who holds it; nan where nobody was asked about it."""
    scores = torch.full((len(truth.targets),), torch.nan, dtype=torch.float64)
    for about, values in world:
        for row, client in enumerate(about):
            mine = truth.owners == client
            scores[mine] = values[row if apart(about, values) else 0, mine]
        unsaid = truth.owners < 0
        highest = values[:, unsaid].nan_to_num(nan=-torch.inf).amax(0)
        scores[unsaid] = torch.fmax(scores[unsaid], torch.where(highest.isinf(), torch.nan, highest))
    return scores


def _records(scored: Scored, truth: Truth, primary: Scored) -> dict[str, Any]:
    if truth.members is None:
        return {}
    members = truth.members
    values, main = (torch.stack([values for ((_, values),) in one.worlds]) for one in (scored, primary))
    count = members.shape[1]
    everything = torch.arange(count)
    played = truth.game is not None and truth.game.rows is not None
    game = truth.game if played and truth.game else Game("recorded", everything, everything, members)
    found = {"game": _game(exposure.of_game(values, game, everything))}
    if scored is not primary:
        found["lead"] = exposure.lead(main, values, members)
    else:
        found["epsilon"] = (
            exposure.of_epsilon(values, game)
            if played
            else {
                "none": "no coins were thrown for single images; use game.design=decoys and game.unit=image."
            }
        )
    return found


def _game(found: dict[str, Any] | None) -> dict[str, Any] | None:
    if found is not None:
        sizes = found["area"]["positives"], found["area"]["negatives"]
        found["detectable"] = significant(exposure.detectable(*sizes))
    return found


def _shares(scored: Scored, truth: Truth) -> dict[str, Any] | None:
    """Distances of estimated shares from those of the images that clients used; where these stand for rows that nobody
    counted, whether a class is there is all that is known."""
    if bool((truth.truth.owners < 0).any()):
        return None
    counted = truth.truth.images.numel() > 0  # a capture without images has one empty one for each target
    rows, present, absent = [], [], []
    for number, ((about, values),) in enumerate(scored.worlds):
        held = truth.holdings(number, len(about)).double()
        if not apart(about, values):  # of everybody's data as one
            held = held.sum(0, keepdim=True)
        exact = held / held.sum(1, keepdim=True).clamp_min(1)
        estimate = values[:, truth.targets]  # which classes are private is known
        estimate = estimate / estimate.sum(1, keepdim=True).clamp_min(1e-12)
        for client in range(len(values)):
            if bool(estimate[client].isnan().any()) or held[client].sum() == 0:
                continue
            rows.append((number, exposure.distances(estimate[client], exact[client])))
            asked = estimate[client]
            present += asked[held[client] > 0].tolist()
            absent += asked[held[client] == 0].tolist()
    if not rows:
        return None
    names = ("total_variation", "largest", "kl")
    mean = {name: float(np.mean([row[name] for _, row in rows])) for name in names}
    return {
        "mean": rounded(mean) if counted else dict.fromkeys(names),
        "clients": [row for number, row in rows if number == 0 and counted],
        "presence": rounded(area(present, absent)) if present and absent else None,
    }


def _models(scored: Scored, truth: Truth, beside: Sequence[Scored]) -> dict[str, Any] | None:
    """How often a substitute says what the client's model says, and how much more often than the best model that nobody
    stole: else nothing but the public set was stolen."""
    if truth.predicted is None:
        return None
    clients = truth.predicted["clients"]

    def same(said: Tensor) -> Tensor:
        return (said == clients).double()

    rivals = {_SERVER: same(truth.predicted["server"])}
    rivals |= {one.variant: same(one.worlds[0][0][1]) for one in beside if one.variant in _RIVALS}
    against = max(rivals, key=lambda name: float(rivals[name].sum()))
    ours, stolen = same(scored.worlds[0][0][1]), scored.variant not in _RIVALS
    gain = paired_difference(ours.mean(0).tolist(), rivals[against].mean(0).tolist())
    return {
        "agreement": rounded(clustered(int(ours.sum()), ours.numel(), ours.shape[1])),
        "gain": rounded(dict(gain)) if stolen else None,
        "against": against if stolen else None,
    }


_SERVER = "server's own model"
_RIVALS = ("public labels", "student of the server", _SERVER)
