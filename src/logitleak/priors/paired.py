"""Supervised translation: public identities that are no targets are seen in both domains, so A_φ can be fitted
to them directly, without an adversary. Ours; the paper's priors are `cyclegan` and `deblurgan`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn

from logitleak.machine import forecast
from logitleak.machine.forecast import Scale
from logitleak.models.base import normalize
from logitleak.priors.domains import label_means, shared_labels
from logitleak.priors.generators import UNet
from logitleak.priors.linear import LinearTranslator
from logitleak.priors.losses import pyramid_distance
from logitleak.priors.trained import TrainedPrior, TrainedSettings, Training, build
from logitleak.seeds import derive
from logitleak.types import Knowledge, LabelledPublicData

JUDGE_EVERY = 50
"""Training steps between looks at the identities that are held out."""


class PairedSettings(TrainedSettings):
    """Hyper-parameters; all but ``model`` concern the U-Net.

    Attributes:
        model: "linear", the closed form in seconds, or "unet". The closed form is the default: on the synthetic
            people, with a hundred public identities, its images are the better ones and it takes a second.
        steps, batch, lr: Adam; the rate falls to zero along half a cosine.
        filters: channels of the U-Net's first layer.
        held_out: share of the public identities that are not trained on: the weights with the smallest error
            on them are kept. Where it is less than one identity, the last weights are.
    """

    model: Literal["linear", "unet"] = "linear"
    steps: PositiveInt = 1500
    batch: PositiveInt = 8
    lr: PositiveFloat = 2e-3
    filters: PositiveInt = Field(default=24, multiple_of=4)
    held_out: float = Field(default=0.1, ge=0, le=0.5)


class Paired(TrainedPrior):
    """From an image of D_a to the mean D_0 image of its identity."""

    Settings = PairedSettings
    settings: PairedSettings

    def __init__(
        self, settings: Any, seed: int, device: torch.device | str = "cpu", home: Path | None = None
    ) -> None:
        super().__init__(settings, seed, device, home)
        if self.settings.model == "linear":
            self.least_shared, self.side_multiple = 2, 1

    def steps_planned(self, knowledge: Knowledge) -> int:
        return 0 if self.settings.model == "linear" else super().steps_planned(knowledge)

    def memory(self, scale: Scale) -> int:
        """See `Prior.memory`."""
        if self.settings.model == "linear":  # images of both domains, and what a weight makes of them
            return super().memory(scale) + 6 * scale.people * scale.image
        network = forecast.bare(lambda: UNet(self.settings.filters))
        return super().memory(scale) + self.training(scale, [(network, self.settings.batch)])

    def learn(self, knowledge: Knowledge) -> nn.Module:
        if self.settings.model == "unet":
            return super().learn(knowledge)
        public = knowledge.public.labelled()
        labels = shared_labels(public)
        inputs, targets = (
            normalize(label_means(public, domain, labels).to(self.device))
            for domain in ("insensitive", "sensitive")
        )
        return LinearTranslator(inputs, targets)

    def begin(self, public: LabelledPublicData) -> Training:
        return UNetTraining(public, self.settings, self.seed, self.device)


class UNetTraining(Training):
    """From single D_a images to mean D_0 images, with identities held out to choose the weights."""

    def __init__(
        self, public: LabelledPublicData, settings: PairedSettings, seed: int, device: torch.device
    ) -> None:
        super().__init__()
        self.settings, self.seed = settings, seed
        labels = shared_labels(public)
        rows = public.rows("insensitive")
        rows = rows[torch.isin(public.labels[rows], labels)]
        self.images = public.images[rows].to(device)
        self.identity = torch.searchsorted(labels, public.labels[rows])
        self.means = normalize(label_means(public, "sensitive", labels).to(device))
        held = torch.randperm(len(labels), generator=derive(seed, "paired", "held-out"))
        held = held[: int(settings.held_out * len(labels))]
        is_held = torch.isin(self.identity, held)
        self.train_rows, self.held_rows = (torch.nonzero(m).flatten() for m in (~is_held, is_held))
        self.network, self.best = (_unet(settings.filters, seed).to(device) for _ in range(2))
        self.best.requires_grad_(False)
        self.add("unet", self.network, settings.lr)
        self.best_error = torch.tensor(torch.finfo(torch.float32).max)
        self.memory = {f"best/{name}": value for name, value in self.best.state_dict().items()}
        self.memory["best-error"] = self.best_error

    def step(self, step: int) -> Tensor:
        s = self.settings
        generator = derive(self.seed, "paired", "step", step)
        place = torch.randint(len(self.train_rows), (s.batch,), generator=generator)
        self.set_lr(s.lr * 0.5 * (1 + math.cos(math.pi * (step - 1) / s.steps)))
        loss = self._error(self.train_rows[place])
        self.update(loss, "unet")
        if len(self.held_rows) and (step % JUDGE_EVERY == 0 or step == s.steps):
            self._judge()
        return loss.detach()

    def translator(self) -> nn.Module:
        return self.best if len(self.held_rows) else self.network

    def _error(self, rows: Tensor) -> Tensor:
        """Distance of these images' translations from what they should be: squares, which fix the large, and L1
        between Laplacian pyramids, which keeps edges; squares alone blur them."""
        translated, wanted = self.network(normalize(self.images[rows])), self.means[self.identity[rows]]
        return F.mse_loss(translated, wanted) + pyramid_distance(translated, wanted)

    @torch.no_grad()
    def _judge(self) -> None:
        """Keep the present weights if they are the best so far on the identities held out."""
        chunks = self.held_rows.split(64)
        error = sum(float(self._error(chunk)) * len(chunk) for chunk in chunks) / len(self.held_rows)
        if error < float(self.best_error):
            self.best_error.fill_(error)
            for kept, value in zip(self.best.parameters(), self.network.parameters(), strict=True):
                kept.copy_(value)


def _unet(filters: int, seed: int) -> UNet:
    network = build(lambda: UNet(filters), derive(seed, "paired", "init"))
    assert isinstance(network, UNet)
    network.start_at_identity()
    return network
