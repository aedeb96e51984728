"""Priors that translate the insensitive domain to the sensitive one (Eq. 9), however they learnt to."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from logitleak.errors import UserError
from logitleak.models.base import normalize
from logitleak.priors.base import LabelPrior, PriorSettings
from logitleak.priors.domains import mean_image, shared_labels
from logitleak.types import Knowledge, LabelledPublicData, PublicData

CHUNK = 64
"""Images that are translated at a time."""

LAYOUT = 1
"""Goes up when networks or training change, so that weights of another version are not taken for this one's."""


class TranslatorPrior(LabelPrior):
    """x̄_j = the mean of A_φ(x) over the images x of label j in D_a, with A_φ learnt from the public set.

    A label with no image in D_a gets the mean of D_0 instead (Eq. 8). Every label is translated once, and by
    itself, so that its image does not depend on which others were asked for.

    A subclass writes `learn`.

    Attributes:
        least_shared: how many labels must have images in both domains.
        side_multiple: what height and width must be multiples of.
    """

    learns = True
    least_shared: int = 1
    side_multiple: int = 16

    def __init__(
        self, settings: Any, seed: int, device: torch.device | str = "cpu", home: Path | None = None
    ) -> None:
        super().__init__(settings, seed, device, home)
        self._public: PublicData | None = None
        self._key = ""
        self._translator: nn.Module = nn.Identity()
        self._estimates: dict[int, Tensor] = {}

    @property
    def name(self) -> str:
        """What it is called in messages and folders."""
        return type(self).__name__.lower()

    def check(self, knowledge: Knowledge) -> None:
        super().check(knowledge)
        public = knowledge.public.labelled()
        shared = len(shared_labels(public)) if self.least_shared else 0
        if shared < self.least_shared:
            raise UserError(
                f"The prior {self.name} learns from public identities with images in both domains: it needs "
                f'{self.least_shared} and there are {shared}; use the prior "cyclegan" or "mean".'
            )
        height, width = public.image_size
        if height % self.side_multiple or width % self.side_multiple:
            raise UserError(
                f"The prior {self.name} needs images whose sides are multiples of {self.side_multiple}, not "
                f"{height}x{width}; prepare the data with another image_size."
            )

    def prepare(self, knowledge: Knowledge) -> None:
        if self._public is knowledge.public:
            return
        self.check(knowledge)
        key = self.key(knowledge.public.labelled())
        if key != self._key:
            self._translator = self.learn(knowledge)
            self._key, self._estimates = key, {}
        self._public = knowledge.public

    @abstractmethod
    def learn(self, knowledge: Knowledge) -> nn.Module:
        """A_φ on ``self.device``, from images [n, 3, H, W] in [−1, 1] to the same, learnt from public data."""

    def key(self, public: LabelledPublicData) -> str:
        """What stands for the public set, the settings that matter, and the seed; see `key_of`."""
        return key_of(self.name, self.settings, self.seed, public)

    def estimate_labels(self, public: LabelledPublicData, labels: Tensor) -> Tensor:
        missing = [label for label in torch.unique(labels).tolist() if label not in self._estimates]
        rows = public.rows("insensitive")
        for label in missing:
            self._estimates[label] = self._estimate(public, rows[public.labels[rows] == label])
        if len(labels) == 0:
            return torch.empty(0, *public.images.shape[1:])
        return torch.stack([self._estimates[label] for label in labels.tolist()])

    def _estimate(self, public: LabelledPublicData, rows: Tensor) -> Tensor:
        """Eq. 9 for the label with these rows of D_a, float32 [3, H, W]; Eq. 8 where there are none."""
        if len(rows) == 0:
            return mean_image(public, public.rows("sensitive"))
        total = torch.zeros(public.images.shape[1:], dtype=torch.float64)
        for chunk in rows.split(CHUNK):
            total += translate(self._translator, public.images[chunk], self.device).sum(
                0, dtype=torch.float64
            )
        return (total / len(rows)).to(torch.float32)


def key_of(name: str, settings: PriorSettings, seed: int, public: LabelledPublicData) -> str:
    """Sixteen hexadecimal digits that stand for the public set, the settings that matter, and the seed."""
    said = {
        "layout": LAYOUT,
        "prior": name,
        "settings": settings.model_dump(mode="json", exclude={"checkpoint_every"}),
        "seed": seed,
        "shape": list(public.images.shape),
    }
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    for tensor in (public.images, public.labels, public.sensitive):
        digest.update(tensor.cpu().contiguous().numpy().data)
    return digest.hexdigest()[:16]


@torch.no_grad()
def translate(translator: nn.Module, images: Tensor, device: torch.device) -> Tensor:
    """Images uint8 [n, 3, H, W] through A_φ: float32 on the CPU, clamped to [0, 1]."""
    out: Tensor = translator(normalize(images.to(device)))
    return out.add(1).div(2).clamp(0, 1).cpu()
