"""After DeblurGAN-v2 (Kupyn et al., 2019), the paper's prior for FaceScrub.

A feature-pyramid generator corrects its input; a discriminator of patches and one of whole images judge it with
relativistic average least squares; pixels and structure are held to an image of the same identity.

Deviations. The published backbone and the perceptual (VGG) distance need downloaded weights, and nothing is
downloaded here: the backbone is a small one of our own, and L1 between Laplacian pyramids stands for the
perceptual distance. A server does not know which sharp photograph a blurred one was made from, so the pair of an
image is the mean D_0 image of its identity, or any one of them. Training is counted in steps; the code published with
"Breaching FedMD" uses CycleGAN's generator and WGAN-GP under this name, and the network of the name is built here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from logitleak.machine import forecast
from logitleak.machine.forecast import Scale
from logitleak.models.base import normalize
from logitleak.priors.discriminators import GlobalDiscriminator, PatchDiscriminator
from logitleak.priors.domains import Pairs, label_means, shared_labels
from logitleak.priors.generators import PyramidGenerator
from logitleak.priors.losses import pyramid_distance, relativistic
from logitleak.priors.trained import TrainedPrior, TrainedSettings, Training, build
from logitleak.seeds import derive
from logitleak.types import LabelledPublicData

JUDGES = ("judge_patches", "judge_whole")


class DeblurGANSettings(TrainedSettings):
    """Hyper-parameters.

    Attributes:
        steps, batch, lr: Adam; the rate is constant for the share ``constant`` of the steps and then falls
            linearly to zero.
        constant: that share.
        filters: channels of the first layer of the generator and of both discriminators.
        aim: the image of the identity that a translation is held to: their "mean", or a "random" one in every
            step. The prior stands for a mean image, so that is the default.
        pixel: weight of the mean squared error on [−1, 1].
        structure: weight of the L1 distance between Laplacian pyramids on [−1, 1].
        adversarial: weight of the discriminators.
        pairs: an identity with more pairs than this is drawn as if it had so many.
    """

    steps: PositiveInt = 20_000
    batch: PositiveInt = 8
    lr: PositiveFloat = 1e-4
    constant: float = Field(default=0.25, ge=0, le=1)
    filters: PositiveInt = 32
    aim: Literal["mean", "random"] = "mean"
    pixel: NonNegativeFloat = 0.5
    structure: NonNegativeFloat = 0.5
    adversarial: NonNegativeFloat = 0.001
    pairs: PositiveInt = 100


class DeblurGAN(TrainedPrior):
    """Supervised translation with an adversary for sharpness."""

    Settings = DeblurGANSettings
    settings: DeblurGANSettings

    def memory(self, scale: Scale) -> int:
        """See `Prior.memory`."""
        f, batch = self.settings.filters, self.settings.batch
        makes: list[Callable[[], nn.Module]] = [
            lambda: PyramidGenerator(f),
            lambda: PatchDiscriminator(f, 3, scale.side),
            lambda: GlobalDiscriminator(f, (scale.side, scale.side)),
        ]
        return super().memory(scale) + self.training(scale, [(forecast.bare(m), 2 * batch) for m in makes])

    def begin(self, public: LabelledPublicData) -> Training:
        return DeblurTraining(public, self.settings, self.seed, self.device)


class DeblurTraining(Training):
    """One step updates both discriminators, then the generator."""

    def __init__(
        self, public: LabelledPublicData, settings: DeblurGANSettings, seed: int, device: torch.device
    ) -> None:
        super().__init__()
        self.settings, self.seed = settings, seed
        self.public, self.images = public, public.images.to(device)
        self.drawn = Pairs(public, settings.pairs)
        self.labels = shared_labels(public)
        self.means = normalize(label_means(public, "sensitive", self.labels).to(device))
        f, size = settings.filters, public.image_size
        networks = {
            "generator": lambda: PyramidGenerator(f),
            "judge_patches": lambda: PatchDiscriminator(f, 3, min(size)),
            "judge_whole": lambda: GlobalDiscriminator(f, size),
        }
        for name, make in networks.items():
            network = build(make, derive(seed, "deblurgan", "init", name)).to(device)
            self.add(name, network, settings.lr)

    def step(self, step: int) -> Tensor:
        rows, aims = self.drawn.draw(self.settings.batch, derive(self.seed, "deblurgan", "step", step))
        blurred = normalize(self.images[rows])
        sharp = self._mean_of(rows) if self.settings.aim == "mean" else normalize(self.images[aims])
        self.set_lr(self.settings.lr * rate(step, self.settings.steps, self.settings.constant))
        translated = self.networks["generator"](blurred)
        self.update(self.judge_loss(sharp, translated.detach()), *JUDGES)
        for name in JUDGES:
            self.networks[name].requires_grad_(False)  # half of the backward pass would be thrown away
        loss = self.generator_loss(sharp, translated)
        self.update(loss, "generator")
        for name in JUDGES:
            self.networks[name].requires_grad_(True)
        return loss.detach()

    def translator(self) -> nn.Module:
        return self.networks["generator"]

    def judge_loss(self, sharp: Tensor, translated: Tensor) -> Tensor:
        """Relativistic average least squares of both discriminators."""
        losses = [relativistic(self.networks[n](sharp), self.networks[n](translated)) for n in JUDGES]
        return torch.stack(losses).mean()

    def generator_loss(self, sharp: Tensor, translated: Tensor) -> Tensor:
        """pixel · MSE + structure · pyramid distance + adversarial · the discriminators' loss, sides swapped."""
        s = self.settings
        fooled = [relativistic(self.networks[n](translated), self.networks[n](sharp)) for n in JUDGES]
        held = s.pixel * F.mse_loss(translated, sharp) + s.structure * pyramid_distance(translated, sharp)
        return held + s.adversarial * torch.stack(fooled).mean()

    def _mean_of(self, rows: Tensor) -> Tensor:
        """The mean D_0 image of each row's identity, [n, 3, H, W] in [−1, 1]."""
        return self.means[torch.searchsorted(self.labels, self.public.labels[rows])]


def rate(step: int, steps: int, constant: float) -> float:
    """The learning rate of a step from 1, relative to the first: 1 for a share, then falling; never 0."""
    left = (steps - step + 1) / (steps * (1 - constant)) if constant < 1 else 1.0
    return min(1.0, left)
