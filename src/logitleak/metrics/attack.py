"""Attack accuracy: does a reconstruction look more like its target than like anything else? (Section 4.1
of the paper.)

An attack on label j succeeds when its image's SSIM to the mean private image of j is larger than its SSIM to
the mean private image of every other target and to the mean public image of every label.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from logitleak import registry
from logitleak.metrics.proportion import share
from logitleak.metrics.ssim import ssim_of_contenders
from logitleak.sealed.game import Game
from logitleak.sealed.truth import GroundTruth, label_means
from logitleak.types import PublicData, Reconstructions


@dataclass(frozen=True)
class References:
    """What reconstructions are compared with; computed once for all attacks.

    Attributes:
        labels: int64 [T], the target labels, ascending.
        private: float32 [T, 3, H, W], mean private image of each target.
        public_labels: int64 [P], labels that have public images.
        public: float32 [P, 3, H, W], mean public image of each of them.
        owners: int64 [T], the client that stands for a target, the designated one of several; -1 where nobody said.
        names: T names.
        holders: all clients that hold each target, T of them; empty for just the owners.
    """

    labels: Tensor
    private: Tensor
    public_labels: Tensor
    public: Tensor
    owners: Tensor
    names: list[str]
    holders: Sequence[frozenset[int]] = ()

    def holds(self, clients: int) -> Tensor:
        """Which of so many clients hold each target, bool [T, K]."""
        if not self.holders:
            return self.owners[:, None] == torch.arange(clients)
        return torch.tensor([[k in held for k in range(clients)] for held in self.holders]).view(-1, clients)

    @property
    def shared(self) -> bool:
        """Whether some target is at several clients."""
        return any(len(held) > 1 for held in self.holders)

    @property
    def public_of_targets(self) -> Tensor:
        """float32 [T, 3, H, W]: each target's own public mean; zeros where it has no public image."""
        out = torch.zeros_like(self.private)
        for i, label in enumerate(self.labels.tolist()):
            found = torch.nonzero(self.public_labels == label).flatten()
            if len(found):
                out[i] = self.public[found[0]]
        return out

    @property
    def chance(self) -> float:
        """What a blind guess among all competitors would reach."""
        return 1 / (len(self.labels) + len(self.public_labels))


def references(truth: GroundTruth, public: PublicData, game: Game | None = None) -> References:
    """Means of private and public images, by label. Public means count whether or not the federation labels
    its public set: whom an image shows is the truth's to say.

    Args:
        truth: the sealed side.
        public: the public set.
        game: where a coin decides about a part of a person's images only, these are what stands for the person.
    """
    labels, public_labels = truth.target_labels, torch.unique(truth.public_labels)
    public_labels = public_labels[public_labels >= 0]  # below: nobody said whom an image shows
    private = label_means(truth.images, truth.labels, labels)
    if game is not None and game.at_client:
        places = torch.searchsorted(labels, game.units)
        own = [truth.images[rows].to(torch.float64).mean(0).div(255) for rows in game.belonging(truth)]
        private[places] = torch.stack(own).to(torch.float32)
    return References(
        labels=labels,
        private=private,
        public_labels=public_labels,
        public=label_means(public.images, truth.public_labels, public_labels),
        owners=torch.tensor([truth.owner_of(label) for label in labels.tolist()]),
        names=[truth.names[label] for label in labels.tolist()],
        holders=[truth.holders_of(label) for label in labels.tolist()],
    )


@dataclass(frozen=True)
class Verdicts:
    """Every target's outcome.

    Attributes:
        success: bool [T].
        too_close: bool [T]: the best match is the public mean of the same label.
        ssim: float32 [T], to the target's private mean.
        ssim_public: float32 [T], to the target's own public mean (nan where it has none).
        ssim_rival: float32 [T], to the best competitor.
        best_match: T strings "private:LABEL" or "public:LABEL".
    """

    success: Tensor
    too_close: Tensor
    ssim: Tensor
    ssim_public: Tensor
    ssim_rival: Tensor
    best_match: list[str]


def judge(images: Tensor, known: References, of: Tensor | None = None) -> Verdicts:
    """Compare reconstructions with all references.

    Args:
        images: float32 [n, 3, H, W].
        known: the references.
        of: int64 [n], the place in ``known.labels`` of the target that each image is to show; by default there are T,
            in that order.
    """
    targets = len(known.labels)
    of = torch.arange(targets) if of is None else of
    each = torch.arange(len(of))
    own_public = known.public_labels[None] == known.labels[of][:, None]
    sure = torch.cat([torch.zeros(len(of), targets, dtype=torch.bool), own_public], dim=1)
    sure[each, of] = True
    similarity = ssim_of_contenders(images, torch.cat([known.private, known.public]), sure)
    own = similarity[each, of]
    competitors = similarity.clone()
    competitors[each, of] = -torch.inf
    rival = competitors.max(1).values
    labels = [f"private:{label}" for label in known.labels.tolist()]
    labels += [f"public:{label}" for label in known.public_labels.tolist()]
    best = similarity.argmax(1).tolist()
    wanted = known.labels[of]
    to_public = (
        torch.where(own_public, similarity[:, targets:], -torch.inf).amax(1)
        if own_public.shape[1]
        else own * torch.nan
    )
    return Verdicts(
        success=own > rival,
        too_close=torch.tensor(
            [labels[b] == f"public:{label}" for b, label in zip(best, wanted.tolist(), strict=True)],
            dtype=torch.bool,
        ),
        ssim=own,
        ssim_public=torch.where(torch.isfinite(to_public), to_public, torch.nan),
        ssim_rival=rival,
        best_match=[labels[b] for b in best],
    )


def summarize(
    result: Reconstructions, verdicts: Verdicts, known: References, members: Tensor | None = None
) -> dict[str, Any]:
    """Shares, means and the per-target table of one attack (see docs/run-folder.md).

    Args:
        result: what the attack rebuilt.
        verdicts: `judge` of ``result.best``.
        known: what it was compared with.
        members: bool [T], whose images took part; shares and means are over them. None for all.
    """
    kept = torch.ones(len(known.labels), dtype=torch.bool) if members is None else members
    best = result.best
    values = {name: registry.load("metric", name)()(best, known.private) for name in registry.names("metric")}
    values["ssim"] = verdicts.ssim
    owned = len(result.images) > 1 and bool((known.owners >= 0).all())
    holds = known.holds(len(result.images))  # naming any of a target's holders is right
    # a tie names nobody: an attack whose images are the same whoever is asked about has no say in it
    certain = (result.scores == result.scores.amin(0)).sum(0) == 1
    named = (holds[torch.arange(len(holds)), result.chosen] & certain)[kept].tolist()
    per_target = []
    for i, label in enumerate(known.labels.tolist()):
        row = {
            "label": label,
            "name": known.names[i],
            "owner": int(known.owners[i]) if known.owners[i] >= 0 else None,
            "chosen": int(result.chosen[i]),
            "success": bool(verdicts.success[i]),
            "too_close_to_public": bool(verdicts.too_close[i]),
            "best_match": verdicts.best_match[i],
            "ssim_public": number(verdicts.ssim_public[i]),
            "ssim_rival": number(verdicts.ssim_rival[i]),
        }
        if members is not None:
            row["member"] = bool(members[i])
        if known.shared:
            row["holders"] = sorted(known.holders[i])
        per_target.append(row | {name: number(column[i]) for name, column in values.items()})
    return {
        "accuracy": share(verdicts.success[kept].tolist()),
        "too_close_to_public": share(verdicts.too_close[kept].tolist()),
        "owner_named": share(named) if owned and bool(certain.any()) else None,
        "mean": {name: number(column[kept].double().mean()) for name, column in values.items()},
        "per_target": per_target,
    }


def number(value: Tensor | float) -> float | None:
    """A number for JSON: six significant decimals, null for what is not finite."""
    plain = float(value)
    return round(plain, 6) if math.isfinite(plain) else None
