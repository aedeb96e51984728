"""Generative model inversion, "The Secret Revealer" (Zhang et al., CVPR 2020), on the weights that a client sent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from logitleak.attacks import rehearsal_models
from logitleak.attacks.base import AttackSettings
from logitleak.attacks.shared_models import ClientModelAttack
from logitleak.errors import UserError
from logitleak.machine import forecast
from logitleak.machine.forecast import Scale, Work
from logitleak.models.latent import GROUPS, LatentGenerator
from logitleak.priors.base import Prior
from logitleak.priors.domains import shared_labels
from logitleak.priors.trained import build
from logitleak.priors.wgan import SPREAD, PublicGAN, Wasserstein, WGANSettings
from logitleak.seeds import derive
from logitleak.types import LabelledPublicData, PublicData, ServerView

BATCH = 100
"""Targets that are searched for together. The authors' code takes the mean loss of so many: the scale of ``lr``."""


class SecretRevealerSettings(AttackSettings):
    """The values of the authors' code, but for the number of steps of the GAN, which there is 280 epochs of CelebA with
    a step of the generator after every fifth batch.

    Attributes:
        lr, momentum: of the search, gradient descent with Nesterov's momentum.
        steps: of the search, from each start.
        starts: how many z, standard normal, the search begins with.
        identity: λ, weight of the loss of identity beside that of the prior.
        bound: no entry of z leaves [−bound, bound].
        auxiliary: whether the GAN is shown the mean insensitive public image of a person, as the paper's is shown a
            blurred or masked one; null: wherever public people have images of both domains.
        gan_steps: updates of the GAN's generator, each after ``gan_critics`` of the critic.
        gan_batch: images in an update.
        gan_lr: of Adam.
        gan_latent: length of z.
        gan_filters: channels next to the image, of both networks; a multiple of 4.
        gan_critics: updates of the critic for each of the generator.
        gan_penalty: weight of the gradient penalty.
    """

    lr: PositiveFloat = 0.02
    momentum: float = Field(default=0.9, gt=0, lt=1)
    steps: PositiveInt = 1500
    starts: PositiveInt = 5
    identity: NonNegativeFloat = 100.0
    bound: PositiveFloat = 1.0
    auxiliary: bool | None = None
    gan_steps: PositiveInt = 8000
    gan_batch: PositiveInt = 64
    gan_lr: PositiveFloat = 2e-4
    gan_latent: PositiveInt = 100
    gan_filters: int = Field(default=64, ge=GROUPS, multiple_of=GROUPS)
    gan_critics: PositiveInt = 5
    gan_penalty: NonNegativeFloat = 10.0

    @property
    def gan(self) -> WGANSettings:
        """Networks and training of the GAN."""
        return WGANSettings(
            steps=self.gan_steps,
            batch=self.gan_batch,
            lr=self.gan_lr,
            latent=self.gan_latent,
            filters=self.gan_filters,
            critics=self.gan_critics,
            penalty=self.gan_penalty,
        )


class SecretRevealer(ClientModelAttack):
    """Searches what a GAN of sensitive public images can make for what the client's model takes for the target.

    Of each label, λ · (−log p_y(G(z))) − C(G(z)) is minimized over z, where C is the GAN's critic. The smallest loss of
    all steps and starts is kept; the authors' code compares the last steps of the starts, by the label's logit. All
    clients are searched from the same z, so that they differ by their weights alone.
    """

    Settings = SecretRevealerSettings
    settings: SecretRevealerSettings
    needs = frozenset({"gradients", "labels"})
    besides = ("its GAN, which is trained once",)
    assumptions = (
        *ClientModelAttack.assumptions,
        "The server has the sensitive public images (D_0), and time to train a GAN on them.",
    )

    def __init__(self, settings: Any, prior: Prior, seed: int, device: torch.device | str = "cpu") -> None:
        super().__init__(settings, prior, seed, device)
        self._public: PublicData | None = None
        self._gan: Wasserstein | None = None
        self._beside: Tensor | None = None

    def check(self, view: ServerView) -> None:
        super().check(view)
        self._shown(view.knowledge.public.labelled())

    def observe(self, view: ServerView, round: int) -> None:
        super().observe(view, round)
        if self._public is view.knowledge.public:
            return
        public = view.knowledge.public.labelled()
        public_gan = self._public_gan(public)
        self._beside = public_gan.beside(public, view.knowledge.target_labels)
        self._gan = public_gan.learn(
            view.knowledge, lambda step, loss: self.listener(round, None, step, loss)
        ).eval()
        self.trace.choices["auxiliary"] = public_gan.shown
        self._public = view.knowledge.public

    def reconstruct_client(self, view: ServerView, client: int) -> Tensor | None:
        if client not in self.models or self._gan is None:
            return None
        known = view.knowledge
        labels = known.target_labels.to(self.device)
        found = torch.empty(len(labels), *known.public.images.shape[1:])
        costs = torch.empty(len(labels))
        for rows in torch.arange(len(labels)).split(BATCH):
            seen = None if self._beside is None else self._beside[rows.to(self.device)]
            found[rows], costs[rows] = self.search(self._gan, self.models[client], labels[rows], seen, client)
        if len(labels):
            self.trace.losses.append(
                {
                    "round": self.newest,
                    "client": client,
                    "step": self.settings.steps,
                    "loss": _finite_mean(costs),
                }
            )
        return found

    def search(
        self, gan: Wasserstein, model: nn.Module, labels: Tensor, beside: Tensor | None, client: int = 0
    ) -> tuple[Tensor, Tensor]:
        """The best image of each label, and its loss.

        Args:
            gan: what is searched.
            model: the client's.
            labels: int64 [n].
            beside: what the GAN is shown of each, [n, 3, H, W] in [−1, 1].
            client: whom the listener is told of.

        Returns:
            float32 [n, 3, H, W] in [0, 1], gray where no loss was a number; and [n], infinite there.
        """
        s = self.settings
        size = next(iter(model.parameters())).device
        best, least = None, torch.full((len(labels),), torch.inf, device=size)
        for start in range(s.starts):
            # one generator for each label: what is found of one does not depend on which others are targets
            z = torch.stack([self._start(int(label), start, gan.latent) for label in labels]).to(self.device)
            z.clamp_(-s.bound, s.bound).requires_grad_()
            descent = torch.optim.SGD([z], s.lr, s.momentum, nesterov=True)
            for step in range(
                1, s.steps + 2
            ):  # the start is an image too, and so is what the last step leads to
                images = gan.generate(z, beside)
                identity = F.cross_entropy(model(images.add(1).div(2)), labels, reduction="none")
                cost = s.identity * identity - gan.judge(images, beside)
                with torch.no_grad():
                    shown = images.add(1).div(2).clamp(0, 1)
                    best = torch.full_like(shown, 0.5) if best is None else best
                    better = cost < least  # false for what is no number
                    best[better], least[better] = shown[better], cost[better]
                if step <= s.steps:
                    (z.grad,) = torch.autograd.grad(cost.sum() / BATCH, [z])
                    descent.step()
                    with torch.no_grad():
                        z.clamp_(-s.bound, s.bound)
                    self.listener(self.newest, client, step, float("nan"))
        assert best is not None
        return best.cpu(), least.cpu()

    def steps_planned(self, view: ServerView) -> int:
        s, batches = self.settings, -(-len(view.knowledge.target_labels) // BATCH)
        left = self._public_gan(view.knowledge.public.labelled()).steps_left(view.knowledge.public.labelled())
        return view.clients * batches * s.starts * s.steps + -(-left // view.rounds)

    def work(self, scale: Scale, rounds: Sequence[int]) -> Sequence[Work]:
        """See `Attack.work`: the search alone."""
        s, batches = self.settings, math.ceil(scale.targets / BATCH)
        rows = math.ceil(scale.targets / max(1, batches))
        brief = SecretRevealer(
            s.model_copy(update={"steps": 1, "starts": 1}), self.prior, self.seed, self.device
        )

        @cache
        def made() -> tuple[Wasserstein, nn.Module]:
            gan = build(
                lambda: Wasserstein(s.gan, (scale.side, scale.side), False), derive(0, "rehearsal"), SPREAD
            )
            assert isinstance(gan, Wasserstein)
            model = rehearsal_models.client_model(scale, self.device)
            return gan.to(self.device).requires_grad_(False), model.requires_grad_(False)

        def once() -> None:
            gan, model = made()
            brief.search(gan, model, torch.arange(rows, device=self.device) % scale.classes, None)

        # one step is two images, since the start is one too
        times = scale.clients * len(rounds) * batches * s.starts * (s.steps + 1) / 2
        return [Work("search", once, times)]

    def memory(self, scale: Scale) -> int:
        """See `Attack.memory`: every client's model, and the larger of the GAN's training and the search."""
        s = self.settings.gan
        gan = PublicGAN(s, self.settings.auxiliary is not False, self.seed, self.device, None)
        generator = forecast.bare(lambda: LatentGenerator(s.latent, s.filters, (scale.side, scale.side)))
        rows = max(1, min(BATCH, scale.targets))
        search = 2 * forecast.step(generator, rows, s.latent) + 8 * rows * scale.image
        held = super().memory(scale) + (scale.clients + 1) * scale.model
        return held + max(gan.memory(scale), search)

    def _start(self, label: int, start: int, latent: int) -> Tensor:
        return torch.randn(latent, generator=derive(self.seed, "secret-revealer", "start", start, label))

    def _public_gan(self, public: LabelledPublicData) -> PublicGAN:
        return PublicGAN(self.settings.gan, self._shown(public), self.seed, self.device, self.prior.home)

    def _shown(self, public: LabelledPublicData) -> bool:
        """Whether the GAN is shown people's insensitive images.

        Raises:
            UserError: it must be, and cannot.
        """
        possible = len(shared_labels(public)) > 0
        if self.settings.auxiliary and not possible:
            raise UserError(
                "No public person has images of both domains, so the GAN cannot be shown any; set auxiliary to false."
            )
        return possible if self.settings.auxiliary is None else self.settings.auxiliary


def _finite_mean(costs: Tensor) -> float:
    """The mean of what is finite; 0 where nothing is."""
    finite = costs[costs.isfinite()]
    return float(finite.mean()) if len(finite) else 0.0
