"""One federation of a sweep that tried defenses: what was found of it, and what its clients know after it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from logitleak.files.storage import read_tensors
from logitleak.formats import AuditFile, Metrics
from logitleak.formats.parts import Record
from logitleak.formats.reading import read_file
from logitleak.sealed.files import read_game, read_truth
from logitleak.sealed.game import taking_part
from logitleak.stages.folder import RunFolder
from logitleak.sweep.compute import folder_of


@dataclass(frozen=True)
class HeldOut:
    """The held-out images that count in the first world.

    Attributes:
        labels: int64 [n].
        private: bool [n], whether private images of that world show the same class. Of other classes public images
            alone tell.
        own: bool [K, n], whether a client holds the class.
    """

    labels: Tensor
    private: Tensor
    own: Tensor


@dataclass
class TriedFederation:
    """The folder of one federation; what is not there is empty.

    Attributes:
        sweep: the sweep's folder.
        seed, id: of the federation.
    """

    sweep: Path
    seed: int
    id: str

    def __post_init__(self) -> None:
        self.folder = folder_of(self.sweep, "federation", self.id)
        self.run = RunFolder(self.folder)
        self.metrics = self._declared("metrics.json", Metrics)
        self.audit = self._declared("audit.json", AuditFile)
        self.seconds = self.run.timings().get("federation_seconds") if self.metrics else None

    def _declared(self, name: str, model: type[Record]) -> dict[str, Any]:
        file = self.folder / name
        return read_file(file, model) if file.exists() else {}

    @cached_property
    def predicted(self) -> dict[str, Tensor]:
        """What "clients" and the "server" said of those images after the last round; empty where that is not known."""
        return read_tensors(self.run.predicted) if self.metrics and self.run.predicted.exists() else {}

    @cached_property
    def alone(self) -> Tensor | None:
        """What clients alone said of them, int64 [K, n]; None where no baseline was trained."""
        known = self.metrics and self.run.baselines.exists()
        return read_tensors(self.run.baselines)["alone"] if known else None

    @cached_property
    def held_out(self) -> HeldOut:
        """What they show."""
        truth, game = read_truth(self.run.sealed), read_game(self.run.sealed)
        used, kept = taking_part(truth, game)
        labels = truth.held_labels[kept]
        clients = range(len(self.predicted["clients"]))
        own = [torch.isin(labels, truth.client(client, used).labels) for client in clients]
        return HeldOut(labels, torch.isin(labels, truth.labels[used]), torch.stack(own))

    def right(self, said: Tensor | None) -> Tensor | None:
        """Of every held-out image of a class that somebody holds privately, which share of models are right, float64
        [n]; None where nothing is known, or there is no such image.

        Args:
            said: what models say of all held-out images, int64 [n] or [K, n].
        """
        if said is None or not self.predicted or not bool(self.held_out.private.any()):
            return None
        right = torch.atleast_2d(said == self.held_out.labels)[:, self.held_out.private]
        return right.double().mean(0)

    def right_of_own(self) -> float | None:
        """The share of held-out images of its own classes that a client is right about, in the mean over clients that
        hold any."""
        if not self.predicted:
            return None
        right = self.predicted["clients"] == self.held_out.labels
        rows = zip(right, self.held_out.own, strict=True)
        shares = [float(row[mine].double().mean()) for row, mine in rows if bool(mine.any())]
        return fmean(shares) if shares else None

    def results(self, audit: str) -> dict[tuple[str, str], dict[str, Any]]:
        """What an audit found, by onlooker and variant, the strongest onlooker's primary first."""
        question: dict[str, Any] = next(
            (one for one in self.audit.get("audits", []) if one["audit"] == audit), {"views": []}
        )
        return {
            (seen["onlooker"], result["variant"]): result
            for seen in question["views"]
            for result in seen["variants"]
        }
