"""What sensitive images look like, as a GAN: WGAN with gradient penalty (Gulrajani et al., 2017), learnt from D_0.

It is what generative model inversion searches (Zhang et al., CVPR 2020, stage 1). Where public people have images of
both domains, generator and critic can be shown the mean insensitive image of the person besides, as the paper shows
them a blurred or masked one. No target is in D_0, so nothing sensitive of a target is learnt.

Deviations from the paper: one critic of whole images where it has a second one of patches, which the authors' code
leaves out too; kernels of 3 and group normalization where that code has kernels of 5, batch normalization in the
generator and instance normalization in the critic; and no term for diversity, which is taken of the attacked model's
features: this GAN is trained once and not for each client.
"""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from pydantic import Field, NonNegativeFloat, PositiveInt
from torch import Tensor, nn

from logitleak.files.atomic import write_atomic
from logitleak.machine import forecast
from logitleak.machine.forecast import Scale
from logitleak.models.base import normalize
from logitleak.models.latent import GROUPS, Critic, LatentGenerator
from logitleak.priors.base import Listener
from logitleak.priors.domains import Pairs, label_means, mean_image, shared_labels
from logitleak.priors.trained import TrainedSettings, Training, build, steps_left, train
from logitleak.priors.translator import key_of
from logitleak.seeds import derive
from logitleak.types import Knowledge, LabelledPublicData

SPREAD = 0.02
"""Standard deviation of the first weights of convolutions, as in DCGAN."""

PAIRS = 100
"""A person with more pairs of images than this is drawn as if they had so many."""


class WGANSettings(TrainedSettings):
    """How networks are made and trained.

    Attributes:
        steps: updates of the generator, each after those of the critic.
        batch, lr: Adam with β₁ = 0.5, β₂ = 0.999, the rate constant.
        latent: length of z.
        filters: channels next to the image, of both networks.
        critics: updates of the critic before each of the generator.
        penalty: weight of the gradient penalty.
    """

    latent: PositiveInt
    filters: int = Field(ge=GROUPS, multiple_of=GROUPS)
    critics: PositiveInt
    penalty: NonNegativeFloat


class Wasserstein(nn.Module):
    """Generator and critic, with what both are shown besides.

    Args:
        settings: how large they are.
        image_size: height and width.
        shown: whether they are shown another image.
    """

    def __init__(self, settings: WGANSettings, image_size: tuple[int, int], shown: bool) -> None:
        super().__init__()
        self.latent, self.shown = settings.latent, shown
        self.generator = LatentGenerator(settings.latent, settings.filters, image_size, shown)
        self.critic = Critic(settings.filters, image_size, 6 if shown else 3)

    def generate(self, z: Tensor, beside: Tensor | None = None) -> Tensor:
        """Images [n, 3, H, W] in [−1, 1] of vectors [n, latent]; ``beside`` is of the same shape."""
        found: Tensor = self.generator(z, beside)
        return found

    def judge(self, images: Tensor, beside: Tensor | None = None) -> Tensor:
        """The critic's scores [n]; higher for images that look like those of D_0."""
        found: Tensor = self.critic(images if beside is None else torch.cat([images, beside], 1))
        return found


class WassersteinTraining(Training):
    """One step updates the critic several times, then the generator.

    Args:
        public: the public set, of which D_0 is learnt.
        shown: whether people are shown by their mean images of D_a; then those who have both domains are learnt alone.
        settings, seed, device: of the training.
    """

    def __init__(
        self,
        public: LabelledPublicData,
        shown: bool,
        settings: WGANSettings,
        seed: int,
        device: torch.device,
    ) -> None:
        super().__init__()
        self.settings, self.seed, self.device = settings, seed, device
        self.images, self.rows = public.images.to(device), public.rows("sensitive")
        self.pairs = Pairs(public, PAIRS) if shown else None
        if shown:
            labels = shared_labels(public)
            self.means = label_means(public, "insensitive", labels).mul_(2).sub_(1).to(device)
            self.place = torch.searchsorted(labels, public.labels)
        size = public.image_size
        self.networks_together = build(
            lambda: Wasserstein(settings, size, shown), derive(seed, "wgan", "init"), SPREAD
        ).to(device)
        for name in ("generator", "critic"):
            self.add(name, getattr(self.networks_together, name), settings.lr, betas=(0.5, 0.999))

    def step(self, step: int) -> Tensor:
        generator, gan = derive(self.seed, "wgan", "step", step), self.networks_together
        assert isinstance(gan, Wasserstein)
        s = self.settings
        for _ in range(s.critics):
            real, beside = self._draw(generator)
            with torch.no_grad():
                fake = gan.generate(self._noise(len(real), generator), beside)
            at = torch.rand(len(real), 1, 1, 1, generator=generator).to(self.device)
            between = torch.lerp(fake, real, at)
            distance = gan.judge(real, beside).mean() - gan.judge(fake, beside).mean()
            self.update(s.penalty * gradient_penalty(gan, between, beside) - distance, "critic")
        _, beside = self._draw(generator)
        gan.critic.requires_grad_(False)
        score = gan.judge(gan.generate(self._noise(s.batch, generator), beside), beside).mean()
        self.update(-score, "generator")
        gan.critic.requires_grad_(True)
        return distance.detach()

    def translator(self) -> nn.Module:
        return self.networks_together

    def _noise(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.randn(n, self.settings.latent, generator=generator).to(self.device)

    def _draw(self, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """A batch of D_0, and the mean image of D_a of the person of each where people are shown."""
        if self.pairs is None:
            rows = self.rows[torch.randint(len(self.rows), (self.settings.batch,), generator=generator)]
            return normalize(self.images[rows]), None
        _, rows = self.pairs.draw(self.settings.batch, generator)
        return normalize(self.images[rows]), self.means[self.place[rows]]


def gradient_penalty(gan: Wasserstein, images: Tensor, beside: Tensor | None = None) -> Tensor:
    """E[(‖∇C(x)‖₂ − 1)²] at some images [n, 3, H, W], a scalar (Gulrajani et al., 2017, Eq. 3)."""
    images = images.detach().requires_grad_()
    (slope,) = torch.autograd.grad(gan.judge(images, beside).sum(), [images], create_graph=True)
    # inside the root: a critic that is flat somewhere must not make NaN of its own
    return ((slope.square().sum((1, 2, 3)) + 1e-12).sqrt() - 1).square().mean()


class PublicGAN:
    """The GAN of a public set: trained once, kept in a folder, and shared by everybody with the same settings and seed.

    Args:
        settings: of networks and training.
        shown: whether people are shown by their images of D_a.
        seed, device: of the training.
        home: where weights and checkpoints are kept; None keeps nothing.
    """

    def __init__(
        self, settings: WGANSettings, shown: bool, seed: int, device: torch.device, home: Path | None
    ) -> None:
        self.settings, self.shown, self.seed, self.device, self.home = settings, shown, seed, device, home

    @property
    def name(self) -> str:
        """What it is called in messages and folders."""
        return "wgan-shown" if self.shown else "wgan"

    def folder(self, public: LabelledPublicData) -> Path | None:
        """Where it keeps what it leaves behind."""
        if self.home is None:
            return None
        return self.home / f"{self.name}-{key_of(self.name, self.settings, self.seed, public)}"

    def steps_left(self, public: LabelledPublicData) -> int:
        """How many steps of training are still to be taken."""
        return steps_left(self.folder(public), self.settings.steps)

    def learn(self, knowledge: Knowledge, listener: Listener) -> Wasserstein:
        """Generator and critic on their device, not to be trained; ``listener`` hears every step.

        Raises:
            UserError: a loss is not finite, or what is kept is damaged.
        """
        public = knowledge.public.labelled()

        def begin() -> Training:
            return WassersteinTraining(public, self.shown, self.settings, self.seed, self.device)

        def show(path: Path, gan: nn.Module) -> None:
            assert isinstance(gan, Wasserstein)
            z = torch.randn(8, self.settings.latent, generator=derive(self.seed, "wgan", "samples"))
            labels = (
                shared_labels(public)[torch.arange(8) % max(1, len(shared_labels(public)))]
                if self.shown
                else None
            )
            beside = None if labels is None else self.beside(public, labels)
            with torch.no_grad():
                images = gan.generate(z.to(self.device), beside).add(1).div(2).clamp(0, 1).cpu()
            pixels = images.permute(2, 0, 3, 1).flatten(1, 2).mul(255).round().to(torch.uint8).numpy()
            write_atomic(path, lambda target: Image.fromarray(pixels).save(target, format="PNG"))

        gan = train("WGAN", begin, self.settings, self.folder(public), listener, show)
        assert isinstance(gan, Wasserstein)
        return gan.requires_grad_(False)

    def beside(self, public: LabelledPublicData, labels: Tensor) -> Tensor | None:
        """The mean image of D_a of each label, [n, 3, H, W] in [−1, 1]; that of all of D_a for a label that has none.
        None where people are not shown."""
        if not self.shown:
            return None
        rows = public.rows("insensitive")
        have = torch.unique(public.labels[rows])
        means = mean_image(public, rows).repeat(len(labels), 1, 1, 1)
        known = torch.isin(labels, have)
        unique, where = torch.unique(labels[known], return_inverse=True)
        if len(unique):
            means[known] = label_means(public, "insensitive", unique)[where]
        return means.mul(2).sub(1).to(self.device)

    def memory(self, scale: Scale) -> int:
        """Bytes of a training: both networks with their moments, and their largest steps; see `Prior.memory`."""
        s, size = self.settings, (scale.side, scale.side)
        channels = 6 if self.shown else 3
        generator = forecast.bare(lambda: LatentGenerator(s.latent, s.filters, size))
        critic = forecast.bare(lambda: Critic(s.filters, size, channels))
        kept = 3 * forecast.weights(generator, critic)
        # the penalty keeps the critic's way there and back
        return (
            kept
            + forecast.step(generator, s.batch, s.latent)
            + 3 * forecast.step(critic, s.batch, channels, *size)
        )
