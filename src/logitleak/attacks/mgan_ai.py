"""mGAN-AI, passive (Wang et al., "Beyond Inferring Class Representatives", INFOCOM 2019)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from logitleak.attacks import rehearsal_models
from logitleak.attacks.matching import GradientMatching, MatchingSettings, squared_distance
from logitleak.attacks.multi_task import MultiTaskGAN, MultiTaskSettings, Seen
from logitleak.files import model_state
from logitleak.machine import forecast
from logitleak.machine.forecast import Scale, Work
from logitleak.metrics.image import total_variation
from logitleak.models.heads import last_layer
from logitleak.models.latent import GROUPS, LatentGenerator
from logitleak.priors.base import Prior
from logitleak.seeds import derive
from logitleak.types import ServerView

BATCH = 64
"""Images that are made at a time."""


class MGANAISettings(MatchingSettings):
    """How updates become representatives, and how the GAN learns from them. All numbers but those of DCGAN are ours.

    Attributes:
        lr, steps, restarts: of the search for representatives.
        tv: weight of total variation there.
        samples: images that are made of a label and a client, of which the mean is shown.
        gan_steps: of the GAN in each round: the discriminator's, then the generator's.
        gan_batch: real and as many made images in a step.
        gan_lr: of Adam with β₁ = 0.5, as DCGAN has it.
        gan_latent: length of z.
        gan_filters: channels of the generator next to the image, a multiple of 4.
    """

    tv: NonNegativeFloat = 0.01
    samples: PositiveInt = 16
    gan_steps: PositiveInt = 300
    gan_batch: PositiveInt = 32
    gan_lr: PositiveFloat = 2e-4
    gan_latent: PositiveInt = 100
    gan_filters: int = Field(default=32, ge=GROUPS, multiple_of=GROUPS)

    @property
    def gan(self) -> MultiTaskSettings:
        """Networks and training of the GAN."""
        return MultiTaskSettings(
            steps=self.gan_steps,
            batch=self.gan_batch,
            lr=self.gan_lr,
            latent=self.gan_latent,
            filters=self.gan_filters,
        )


class MGANAI(GradientMatching):
    """A generator of a label and a client, taught by a discriminator that begins every round as the model of that round
    and tells real from made, categories, and clients.

    In each round every client's update becomes representatives, images whose gradient it is (squared distance and total
    variation), and these teach the discriminator which client is which. Real images are those of D_0.

    Deviations from the paper: all clients are victims, so that the identity head has K classes where the paper's tells
    one victim from the others; an update gives one representative of each label that it gives away; and they are
    searched for by Adam with pixels in [0, 1], not by L-BFGS in a box.
    """

    Settings = MGANAISettings
    settings: MGANAISettings
    needs = frozenset({"gradients", "labels"})
    compares_clients = True  # one GAN learns from everybody's representatives
    assumptions = (
        *GradientMatching.assumptions,
        "Curious only: the discriminator is a copy of the shared model, and nothing that is sent is changed.",
        "The server has the sensitive public images (D_0) with labels, and time to train a GAN in every round.",
        "Updates are of one step on few images: sums of many steps of local training are matched worse.",
    )

    def __init__(self, settings: Any, prior: Prior, seed: int, device: torch.device | str = "cpu") -> None:
        super().__init__(settings, prior, seed, device)
        self._gan: MultiTaskGAN | None = None

    def distance(self, found: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
        return squared_distance(found, wanted)

    def regularizer(self, images: Tensor, soft: Tensor | None, labels: Tensor) -> Tensor:
        return self.settings.tv * total_variation(images).mean()

    def observe(self, view: ServerView, round: int) -> None:
        super().observe(view, round)
        gan = self._begun(view)
        model = self.model_of(view, view.global_model(round))
        gan.learn(
            model, self._seen(view, round), round, lambda step, value: self.listener(round, None, step, value)
        )

    @torch.no_grad()
    def reconstruct_client(self, view: ServerView, client: int) -> Tensor | None:
        if client not in self._presence or self._gan is None:
            return None
        s, targets = self.settings, view.knowledge.target_labels.to(self.device)
        z = torch.randn(s.samples, s.gan.latent, generator=derive(self.seed, "mgan", "shown")).to(self.device)
        images = []
        for label in targets:
            total = torch.zeros(view.knowledge.public.images.shape[1:], device=self.device)
            for part in z.split(BATCH):
                whose = torch.full((len(part),), client, device=self.device)
                total += self._gan.make(part, label.expand(len(part)), whose).sum(0)
            images.append((total / s.samples).clamp(0, 1))
        return torch.stack(images).cpu()

    def state(self) -> dict[str, Tensor]:
        gan = {} if self._gan is None else self._gan.state()
        return super().state() | {f"gan/{name}": value for name, value in gan.items()}

    def load_state(self, table: Mapping[str, Tensor], view: ServerView) -> None:
        gan = model_state.under(table, "gan/")
        super().load_state(
            {name: value for name, value in table.items() if not name.startswith("gan/")}, view
        )
        if gan:
            self._begun(view).load_state(gan)

    def work(self, scale: Scale, rounds: Sequence[int]) -> Sequence[Work]:
        """See `Attack.work`: besides the matching, the GAN's steps in every round."""
        brief = self.settings.gan.model_copy(update={"steps": 1})

        @cache
        def made() -> tuple[MultiTaskGAN, nn.Module, Seen]:
            model, size = rehearsal_models.client_model(scale, self.device), (scale.side, scale.side)
            width = last_layer(model, scale.classes).in_features
            gan = MultiTaskGAN(brief, size, scale.classes, scale.clients, width, 0, self.device)
            images = rehearsal_models.pictures(BATCH, scale, self.device)
            labels = torch.arange(BATCH, device=self.device) % scale.classes
            senders = torch.arange(BATCH, device=self.device) % scale.clients
            return gan, model, Seen(images, labels, images, senders, labels)

        def once() -> None:
            gan, model, seen = made()
            gan.learn(model, seen, 1, lambda step, value: None)

        return [
            *super().work(scale, rounds),
            Work("step of the GAN", once, len(rounds) * self.settings.gan_steps),
        ]

    def steps_planned(self, view: ServerView) -> int:
        return super().steps_planned(view) + self.settings.gan.steps

    def memory(self, scale: Scale) -> int:
        """See `Attack.memory`: besides what matching holds, D_0, and the GAN with moments and a step of both."""
        s, size = self.settings.gan, (scale.side, scale.side)
        long = s.latent + scale.classes + scale.clients
        generator = forecast.bare(lambda: LatentGenerator(long, s.filters, size))
        made = 3 * forecast.weights(generator) + forecast.step(generator, s.batch, long)
        judge = (
            4 * scale.model + 3 * s.batch * 50 * scale.image
        )  # maps of a model are not known: 50 to an image
        return super().memory(scale) + scale.sensitive * scale.image + made + judge

    def _begun(self, view: ServerView) -> MultiTaskGAN:
        """The GAN, as far as it is."""
        if self._gan is None:
            classes, size = view.knowledge.num_classes, view.knowledge.public.image_size
            width = last_layer(self.model_of(view, view.global_model(1)), classes).in_features
            self._gan = MultiTaskGAN(
                self.settings.gan, size, classes, view.clients, width, self.seed, self.device
            )
        return self._gan

    def _seen(self, view: ServerView, round: int) -> Seen:
        """D_0, and the representatives of the clients that answered in a round."""
        known = view.knowledge
        rows = known.public.rows("sensitive")
        labels = known.public.labelled().labels[rows]
        found, senders = [known.public.pixels(rows[:0])], []
        for client in range(view.clients):
            if client in self._dummies and view.client_gradients(client, round):
                restored = torch.nonzero(self._presence[client] < 0).flatten()
                found.append(self._dummies[client][restored])
                senders += [client] * len(restored)
        wanted = torch.unique(torch.cat([labels, known.target_labels]))
        return Seen(
            known.public.pixels(rows).to(self.device),
            labels.to(self.device),
            torch.cat(found).to(self.device),
            torch.tensor(senders, dtype=torch.int64, device=self.device),
            wanted.to(self.device),
        )
