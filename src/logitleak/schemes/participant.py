"""A participant that attacks the others (Hitaj, Ateniese and Perez-Cruz, "Deep Models Under the GAN", CCS 2017)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn

from logitleak.errors import UserError
from logitleak.files import model_state
from logitleak.machine import forecast
from logitleak.machine.forecast import Scale
from logitleak.models.base import initialize
from logitleak.models.latent import GROUPS, LatentGenerator
from logitleak.schemes.shared_model import SharedModelSettings
from logitleak.seeds import derive
from logitleak.types import ClientData, PublicData


class FedAvgGANSettings(SharedModelSettings):
    """How long clients train, and what the participant does. Of the original are the uniform noise and its length, and
    DCGAN's β₁; all other numbers are ours, and small enough for two cores.

    Attributes:
        held: public images of people who are no targets that the participant trains on, as if they were its own.
        injected: images that it makes in every round and trains on under a label that is not theirs; 0 for none, which
            leaves a participant that is curious only.
        warm_up: rounds in which it does as everybody does, before it trains its generator.
        gan_steps, gan_batch, gan_lr: of the generator in every round after that, by Adam with β₁ = 0.5.
        gan_latent: length of z.
        gan_filters: channels of the generator next to the image, a multiple of 4.
        samples: images of every target that it keeps after each round.
    """

    held: PositiveInt = 32
    injected: NonNegativeInt = 32
    warm_up: NonNegativeInt = 1
    gan_steps: PositiveInt = 100
    gan_batch: PositiveInt = 16
    gan_lr: PositiveFloat = 1e-3
    gan_latent: PositiveInt = 100
    gan_filters: int = Field(default=8, ge=GROUPS, multiple_of=GROUPS)
    samples: PositiveInt = 8


class Participant:
    """Takes part with public images, and teaches a generator what the shared model takes for its targets.

    It knows the public set. Targets are the people of whom that has images, but none of the sensitive domain; the label
    under which made images are trained on is one of the others, whom no client has private images of.

    Args:
        settings: what it does.
        public: the public set.
        seed: of all that it draws.
        device: where it computes.

    Raises:
        UserError: the public set has no target, or nobody else.
    """

    def __init__(
        self,
        settings: FedAvgGANSettings,
        public: PublicData,
        seed: int,
        device: torch.device,
    ) -> None:
        self.settings, self.seed, self.device = settings, seed, device
        labels = public.labelled().labels
        shown = labels[public.sensitive].unique()
        self.targets = labels[~torch.isin(labels, shown)].unique()
        if len(shown) == 0 or len(self.targets) == 0:
            raise UserError(
                "A participant that attacks needs targets of whom no sensitive image is public, and people who are "
                "none: choose fewer targets, and a protocol with two domains; else use the scheme fedavg."
            )
        self.fake = int(shown[0])
        sensitive = public.rows("sensitive")
        chosen = torch.randperm(len(sensitive), generator=derive(seed, "participant", "held"))[
            : settings.held
        ]
        rows = sensitive[chosen.sort().values]
        self._own = ClientData(public.images[rows], labels[rows])
        long = settings.gan_latent + len(self.targets)
        with torch.device("meta"):
            network = LatentGenerator(long, settings.gan_filters, public.image_size)
        start = derive(seed, "participant", "init")
        self.generator = initialize(network.to_empty(device="cpu"), start).to(device)
        self._adam = torch.optim.Adam(
            self.generator.parameters(), lr=settings.gan_lr, betas=(0.5, 0.999), fused=True
        )

    def attacks(self, round: int) -> bool:
        """Whether it trains its generator in a round, from 1."""
        return round > self.settings.warm_up

    def learn(self, model: nn.Module, round: int) -> None:
        """One round's steps of the generator against the model that was sent out, which is not changed.

        Raises:
            UserError: a loss is not finite.
        """
        model.eval().requires_grad_(False)
        for step in range(1, self.settings.gan_steps + 1):
            draws = derive(self.seed, "participant", "step", round, step)
            places = torch.randint(len(self.targets), (self.settings.gan_batch,), generator=draws)
            logits = model(self._made(places, draws))
            loss = F.cross_entropy(logits, self.targets[places].to(self.device))
            self._adam.zero_grad()
            loss.backward()
            self._adam.step()
            if not math.isfinite(float(loss.detach())):
                raise UserError(
                    f"The participant's loss is not finite in round {round}, step {step}; lower gan_lr."
                )
        self._adam.zero_grad()

    def data(self, round: int) -> ClientData:
        """What it trains on in a round: its own images, and those that it makes, under the label that is not theirs."""
        if not self.attacks(round) or self.settings.injected == 0:
            return self._own
        draws = derive(self.seed, "participant", "injected", round)
        places = torch.arange(self.settings.injected) % len(self.targets)
        made = self._bytes(places, draws)
        labels = torch.full((len(made),), self.fake, dtype=torch.int64)
        return ClientData(torch.cat([self._own.images, made]), torch.cat([self._own.labels, labels]))

    def shown(self, round: int) -> dict[str, Tensor]:
        """What it keeps after a round: "labels" int64 [w], and "images" uint8 [w, samples, 3, H, W] of each; nothing
        before it has taught its generator."""
        if not self.attacks(round):
            return {}
        draws = derive(self.seed, "participant", "shown", round)
        places = torch.arange(len(self.targets)).repeat_interleave(self.settings.samples)
        made = self._bytes(places, draws)
        return {"labels": self.targets, "images": made.unflatten(0, (len(self.targets), -1))}

    def state(self) -> dict[str, Tensor]:
        """Generator and moments."""
        return model_state.pack("generator", self.generator, self._adam)

    def load_state(self, table: Mapping[str, Tensor]) -> None:
        """Take back what `state` gave."""
        model_state.unpack(table, "generator", self.generator, self._adam)

    def _made(self, places: Tensor, draws: torch.Generator) -> Tensor:
        """Images float32 [n, 3, H, W] in [0, 1] of targets by their places, int64 [n]."""
        z = torch.rand(len(places), self.settings.gan_latent, generator=draws) * 2 - 1
        # a label weighs as much as all of z, or few steps would not teach anything of it
        told = (self.settings.gan_latent / 3) ** 0.5 * F.one_hot(places, len(self.targets))
        found: Tensor = self.generator(torch.cat([z, told], 1).to(self.device)).add(1).div(2)
        return found

    @torch.no_grad()
    def _bytes(self, places: Tensor, draws: torch.Generator) -> Tensor:
        """The same as they are stored, uint8."""
        parts = [self._made(part, draws) for part in places.split(self.settings.gan_batch)]
        return torch.cat(parts).clamp(0, 1).mul(255).round().to(torch.uint8).cpu()


def rehearsed(
    settings: FedAvgGANSettings, scale: Scale, model: Callable[[], nn.Module], device: torch.device
) -> Callable[[], None]:
    """One step of the generator of a participant whose public set is noise.

    Args:
        settings: what it does.
        scale: how large the federation is.
        model: makes the shared model.
        device: where both are.
    """

    @cache
    def made() -> tuple[Participant, nn.Module]:
        count = scale.targets + 1  # one image of each target, and somebody who is none
        labels = torch.arange(count)
        drawn = torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, (count, 3, scale.side, scale.side), dtype=torch.uint8, generator=drawn)
        public = PublicData(images, labels, labels == scale.targets)
        return Participant(settings.model_copy(update={"gan_steps": 1}), public, 0, device), model().to(
            device
        )

    def once() -> None:
        participant, shared = made()
        participant.learn(shared, settings.warm_up + 1)

    return once


def memory(settings: FedAvgGANSettings, scale: Scale, model: nn.Module) -> int:
    """About how many bytes a participant holds: generator and moments, the model of the round twice, what a step keeps
    in both, and what it makes of every target."""
    side, long = (scale.side, scale.side), settings.gan_latent + scale.targets
    generator = forecast.bare(lambda: LatentGenerator(long, settings.gan_filters, side))
    step = forecast.step(generator, settings.gan_batch, long)
    step += forecast.step(model, settings.gan_batch, 3, *side)
    made = (settings.samples * scale.targets + settings.injected) * scale.image
    return 3 * forecast.weights(generator) + 2 * forecast.weights(model) + step + 2 * made // forecast.FLOAT
