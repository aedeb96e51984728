"""CycleGAN (Zhu et al., 2017), the paper's prior for LAG and LFW.

Two generators translate between D_a and D_0, two discriminators judge them, and a translation there and back
must return the image. Its losses need no pairs; images are drawn by identity all the same, as in the published
code, wherever an identity has both domains.

Deviations: training is counted in optimizer steps (the published code counts epochs of up to 100 pairs of each
identity, and takes the weights of epoch 50 of 100: one to four million steps at the paper's scale), so the
default is a budget of ours; images smaller than 32 pixels get one halving less in the discriminators.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from logitleak.machine import forecast
from logitleak.machine.forecast import Scale
from logitleak.models.base import normalize
from logitleak.priors.discriminators import PatchDiscriminator
from logitleak.priors.domains import Pairs, Unpaired, shared_labels
from logitleak.priors.generators import ResNetGenerator
from logitleak.priors.losses import least_squares
from logitleak.priors.trained import TrainedPrior, TrainedSettings, Training, build
from logitleak.seeds import derive
from logitleak.types import LabelledPublicData

SPREAD = 0.02
"""Standard deviation of the first weights, as in CycleGAN."""


class CycleGANSettings(TrainedSettings):
    """Hyper-parameters; all but ``steps`` are those of the published code.

    Attributes:
        steps, batch, lr: Adam with β₁ = 0.5, the rate constant.
        filters: channels of the first layer of all four networks.
        blocks: residual blocks of a generator.
        halvings: halving convolutions of a discriminator.
        cycle: weight of the way there and back, L1.
        identity: weight of leaving an image of the target domain as it is, L1, relative to ``cycle``.
        pool: earlier translations that a discriminator is shown again; 0 shows it the present ones only.
        pairs: an identity with more pairs than this is drawn as if it had so many.
    """

    steps: PositiveInt = 20_000
    batch: PositiveInt = 1
    lr: PositiveFloat = 2e-4
    filters: PositiveInt = 64
    blocks: PositiveInt = 3
    halvings: PositiveInt = 3
    cycle: NonNegativeFloat = 3.0
    identity: NonNegativeFloat = 0.5
    pool: int = Field(default=50, ge=0)
    pairs: PositiveInt = 100

    @model_validator(mode="after")
    def _pool_holds_a_batch(self) -> CycleGANSettings:
        if 0 < self.pool < self.batch:
            raise ValueError("pool must be 0 or at least batch")
        return self


class CycleGAN(TrainedPrior):
    """Translates without pairs; the only translator that can learn where no identity has both domains."""

    Settings = CycleGANSettings
    settings: CycleGANSettings
    least_shared = 0

    def memory(self, scale: Scale) -> int:
        """See `Prior.memory`: there and back again, each of both domains, and the judges."""
        s = self.settings
        there = forecast.bare(lambda: ResNetGenerator(s.filters, s.blocks))
        judge = forecast.bare(lambda: PatchDiscriminator(s.filters, s.halvings, scale.side))
        steps = [(there, 3 * s.batch)] * 2 + [(judge, 2 * s.batch)] * 2
        return super().memory(scale) + self.training(scale, steps) + 2 * s.pool * scale.image

    def begin(self, public: LabelledPublicData) -> Training:
        return CycleTraining(public, self.settings, self.seed, self.device)


class CycleTraining(Training):
    """One step updates both generators, then both discriminators."""

    def __init__(
        self, public: LabelledPublicData, settings: CycleGANSettings, seed: int, device: torch.device
    ) -> None:
        super().__init__()
        self.settings, self.seed = settings, seed
        self.images = public.images.to(device)
        self.drawn = Pairs(public, settings.pairs) if len(shared_labels(public)) else Unpaired(public)
        s, side = settings, min(public.image_size)
        for name in ("to_sensitive", "to_insensitive", "judge_sensitive", "judge_insensitive"):

            def make(translates: bool = name.startswith("to_")) -> nn.Module:
                if translates:
                    return ResNetGenerator(s.filters, s.blocks)
                return PatchDiscriminator(s.filters, s.halvings, side)

            network = build(make, derive(seed, "cyclegan", "init", name), SPREAD).to(device)
            self.add(name, network, s.lr, betas=(0.5, 0.999))
        shape = tuple(public.images.shape[1:])
        self.pools = {name: ImagePool(s.pool, shape, device) for name in ("sensitive", "insensitive")}
        for name, pool in self.pools.items():
            self.memory |= {f"{name}/images": pool.images, f"{name}/count": pool.count}

    def step(self, step: int) -> Tensor:
        generator = derive(self.seed, "cyclegan", "step", step)
        insensitive_rows, sensitive_rows = self.drawn.draw(self.settings.batch, generator)
        real = {
            "insensitive": normalize(self.images[insensitive_rows]),
            "sensitive": normalize(self.images[sensitive_rows]),
        }
        judges = [self.networks["judge_sensitive"], self.networks["judge_insensitive"]]
        for judge in judges:
            judge.requires_grad_(False)  # half of the generators' backward pass would be thrown away
        loss, fake = self.generator_loss(real["insensitive"], real["sensitive"])
        self.update(loss, "to_sensitive", "to_insensitive")
        for judge in judges:
            judge.requires_grad_(True)
        for name in ("sensitive", "insensitive"):
            shown = self.pools[name].exchange(fake[name].detach(), generator)
            self.update(self.judge_loss(name, real[name], shown), f"judge_{name}")
        return loss.detach()

    def translator(self) -> nn.Module:
        return self.networks["to_sensitive"]

    def generator_loss(self, insensitive: Tensor, sensitive: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """LSGAN of both translations + cycle · (both ways there and back + identity · both images left alone).

        Args:
            insensitive, sensitive: [n, 3, H, W] in [−1, 1].

        Returns:
            The loss, and the translations by the domain they are to belong to.
        """
        s = self.settings
        there, back = self.networks["to_sensitive"], self.networks["to_insensitive"]
        fake_sensitive, same_sensitive = there(torch.cat([insensitive, sensitive])).chunk(2)
        fake_insensitive, same_insensitive = back(torch.cat([sensitive, insensitive])).chunk(2)
        fooled = least_squares(self.networks["judge_sensitive"](fake_sensitive), 1)
        fooled = fooled + least_squares(self.networks["judge_insensitive"](fake_insensitive), 1)
        cycle = F.l1_loss(back(fake_sensitive), insensitive) + F.l1_loss(there(fake_insensitive), sensitive)
        same = F.l1_loss(same_sensitive, sensitive) + F.l1_loss(same_insensitive, insensitive)
        loss = fooled + s.cycle * (cycle + s.identity * same)
        return loss, {"sensitive": fake_sensitive, "insensitive": fake_insensitive}

    def judge_loss(self, name: str, real: Tensor, fake: Tensor) -> Tensor:
        """Half the LSGAN loss of one discriminator on real images of its domain and on translations."""
        judge = self.networks[f"judge_{name}"]
        return (least_squares(judge(real), 1) + least_squares(judge(fake), 0)) / 2


class ImagePool:
    """Earlier translations (Shrivastava et al., 2017), so that a discriminator does not forget them.

    Until it is full, a batch is kept and shown. Then each image is shown with probability ½; else it takes the
    place of an earlier one, which is shown instead.

    Attributes:
        images: float32 [size, 3, H, W].
        count: int64 scalar, how many are there.
    """

    def __init__(self, size: int, shape: tuple[int, ...], device: torch.device) -> None:
        self.images = torch.zeros(size, *shape, device=device)
        self.count = torch.tensor(0)

    def exchange(self, new: Tensor, generator: torch.Generator) -> Tensor:
        """The images to show for a batch [n, 3, H, W], n at most the pool's size unless that is 0."""
        count, n = int(self.count), len(new)
        if len(self.images) == 0:
            return new
        if count + n <= len(self.images):
            self.images[count : count + n] = new
            self.count += n
            return new
        places = torch.randperm(count, generator=generator)[:n]
        swapped = torch.rand(n, generator=generator) < 0.5
        shown = new.clone()
        at, of = places[swapped], torch.nonzero(swapped).flatten()
        shown[of], self.images[at] = self.images[at], new[of]
        return shown
