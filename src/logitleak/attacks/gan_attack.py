"""The GAN attack of a participant (Hitaj, Ateniese and Perez-Cruz, "Deep Models Under the GAN", CCS 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from logitleak.attacks.base import Attack
from logitleak.attacks.selection import smallest
from logitleak.machine.forecast import Scale, Work
from logitleak.priors.base import Prior
from logitleak.types import Reconstructions, ServerView


class GANAttack(Attack):
    """Reads what a malicious participant's generator makes of each target: the mean of the images that it keeps.

    The attack itself happened while the federation ran (the scheme ``fedavg-gan``), since it changes what is learnt:
    no function of a recorded transcript can do it afterwards. Such a participant gets the model of each round and no
    single client's update, so its images are the same whichever client is asked about, and it names no owner.
    """

    needs = frozenset({"gradients", "generated"})
    looks_back = True
    assumptions = (
        "A malicious participant, not the server: it gets the shared model of each round, and nobody else's update.",
        "Active: it trains on images that it makes, under a label that is not theirs, so that others reveal more.",
        "It holds no private image, has the public set with labels, and knows which labels are private targets.",
    )

    def __init__(self, settings: Any, prior: Prior, seed: int, device: torch.device | str = "cpu") -> None:
        super().__init__(settings, prior, seed, device)
        self._images: Tensor | None = None

    def observe(self, view: ServerView, round: int) -> None:
        labels, images = view.generated(round)
        wanted = view.knowledge.target_labels
        place = torch.searchsorted(labels, wanted)
        known = len(labels) > 0 and torch.equal(labels[place.clamp_max(len(labels) - 1)], wanted)
        self._images = images[place].mean(1).clamp(0, 1) if known else None

    def reconstruct_client(self, view: ServerView, client: int) -> Tensor | None:
        return self._images

    def choose(self, images: Tensor, labels: Tensor) -> Reconstructions:
        return smallest(images, labels, torch.zeros(images.shape[:2]))

    def work(self, scale: Scale, rounds: Sequence[int]) -> Sequence[Work]:
        """See `Attack.work`: it reads images that are there."""
        return []

    def memory(self, scale: Scale) -> int:
        """See `Attack.memory`: as many images of each target as a participant keeps by default."""
        return super().memory(scale) + 3 * 8 * scale.targets * scale.image
