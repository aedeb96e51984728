"""A GAN whose discriminator is a shared model with two more heads (Wang et al., INFOCOM 2019)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn

from logitleak.errors import UserError
from logitleak.files import model_state
from logitleak.models.heads import features_of
from logitleak.models.latent import GROUPS, LatentGenerator
from logitleak.priors.trained import build
from logitleak.seeds import derive
from logitleak.strict import Strict


class MultiTaskSettings(Strict):
    """How networks are made and trained.

    Attributes:
        steps: of the GAN in each round: the discriminator's, then the generator's.
        batch: real and as many made images in a step.
        lr: Adam with β₁ = 0.5, as DCGAN has it.
        latent: length of z.
        filters: channels of the generator next to the image.
    """

    steps: PositiveInt
    batch: PositiveInt
    lr: PositiveFloat
    latent: PositiveInt
    filters: int = Field(ge=GROUPS, multiple_of=GROUPS)


@dataclass(frozen=True)
class Seen:
    """What the discriminator learns from.

    Attributes:
        images, labels: real ones, float32 [n, 3, H, W] in [0, 1] and int64 [n].
        representatives, senders: what updates were turned into, [m, 3, H, W], and whose they were, int64 [m]; m may be
            0.
        wanted: labels that images are made of, int64 [w].
    """

    images: Tensor
    labels: Tensor
    representatives: Tensor
    senders: Tensor
    wanted: Tensor


class MultiTaskGAN:
    """Makes images of a label and a client.

    Args:
        settings: of networks and training.
        image_size: height and width.
        classes, clients: J and K.
        width: of what the model's last layer is given.
        seed, device: of the training.
    """

    def __init__(
        self,
        settings: MultiTaskSettings,
        image_size: tuple[int, int],
        classes: int,
        clients: int,
        width: int,
        seed: int,
        device: torch.device,
    ) -> None:
        self.settings, self.classes, self.clients = settings, classes, clients
        self.seed, self.device = seed, device
        long = settings.latent + classes + clients
        self.generator = build(
            lambda: LatentGenerator(long, settings.filters, image_size),
            derive(seed, "mgan", "init", "generator"),
        ).to(device)
        heads = build(
            lambda: nn.ModuleDict({"real": nn.Linear(width, 1), "identity": nn.Linear(width, clients)}),
            derive(seed, "mgan", "init", "heads"),
        )
        assert isinstance(heads, nn.ModuleDict)
        self.heads = heads.to(device)
        self._generator_steps = self._adam(self.generator)

    def make(self, z: Tensor, labels: Tensor, senders: Tensor) -> Tensor:
        """Images float32 [n, 3, H, W] in [0, 1] of vectors [n, latent], labels and clients, int64 [n]."""
        # a label, and a client, weigh as much as all of z together, or few steps would not teach anything of them
        weight = self.settings.latent**0.5
        told = [weight * F.one_hot(labels, self.classes), weight * F.one_hot(senders, self.clients)]
        given = torch.cat([z, *told], 1)
        found: Tensor = self.generator(given).add(1).div(2)
        return found

    def learn(self, model: nn.Module, seen: Seen, round: int, listener: Callable[[int, float], None]) -> None:
        """One round's steps, with a discriminator that begins as ``model``, which is changed.

        Args:
            model: that was sent out.
            seen: what it learns from.
            round: that is.
            listener: hears the generator's loss of every step.

        Raises:
            UserError: a loss is not finite.
        """
        model.requires_grad_(True)
        judge_steps = self._adam(model, self.heads)
        for step in range(1, self.settings.steps + 1):
            generator = derive(self.seed, "mgan", "step", round, step)
            made, labels, senders = self._made(seen, generator)
            _descend(judge_steps, self.judge_loss(model, seen, made.detach(), labels, generator))
            loss = self.maker_loss(model, made, labels, senders, len(seen.senders) > 0)
            _descend(self._generator_steps, loss)
            value = float(loss.detach())
            if not math.isfinite(value):
                raise UserError(f"The GAN's loss is not finite in round {round}, step {step}; lower gan_lr.")
            listener(step, value)

    def judge_loss(
        self, model: nn.Module, seen: Seen, made: Tensor, labels: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Real from made, the category of both, and whose a representative is."""
        rows = torch.randint(len(seen.labels), (self.settings.batch,), generator=generator).to(self.device)
        category, real = self._judged(model, seen.images[rows], "real")
        category_made, real_made = self._judged(model, made, "real")
        loss = _all_are(real, 1.0) + _all_are(real_made, 0.0)
        loss = loss + F.cross_entropy(category, seen.labels[rows]) + F.cross_entropy(category_made, labels)
        if len(seen.senders):
            rows = torch.randint(len(seen.senders), (self.settings.batch,), generator=generator).to(
                self.device
            )
            _, identity = self._judged(model, seen.representatives[rows], "identity")
            loss = loss + F.cross_entropy(identity, seen.senders[rows])
        return loss

    def maker_loss(
        self, model: nn.Module, made: Tensor, labels: Tensor, senders: Tensor, told_apart: bool
    ) -> Tensor:
        """Made images are to pass for real ones of their label and, where clients are told apart, of their client."""
        category, features = features_of(model, made, self.classes)
        loss = _all_are(self.heads["real"](features), 1.0) + F.cross_entropy(category, labels)
        return loss + F.cross_entropy(self.heads["identity"](features), senders) if told_apart else loss

    def state(self) -> dict[str, Tensor]:
        """Generator with moments, and heads. The discriminator's trunk is another in every round."""
        table = model_state.pack("generator", self.generator, self._generator_steps, begun=True)
        return table | {f"heads/{name}": value for name, value in self.heads.state_dict().items()}

    def load_state(self, table: Mapping[str, Tensor]) -> None:
        """Take back what `state` gave."""
        model_state.unpack(table, "generator", self.generator, self._generator_steps)
        self.heads.load_state_dict({name: table[f"heads/{name}"] for name in self.heads.state_dict()})

    def _adam(self, *networks: nn.Module) -> torch.optim.Adam:
        values = [value for network in networks for value in network.parameters()]
        return torch.optim.Adam(values, lr=self.settings.lr, betas=(0.5, 0.999), fused=True)

    def _made(self, seen: Seen, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """A batch of images, and of which labels and clients they are."""
        n = self.settings.batch
        z = torch.randn(n, self.settings.latent, generator=generator).to(self.device)
        labels = seen.wanted[torch.randint(len(seen.wanted), (n,), generator=generator).to(self.device)]
        senders = torch.randint(self.clients, (n,), generator=generator).to(self.device)
        return self.make(z, labels, senders), labels, senders

    def _judged(self, model: nn.Module, images: Tensor, head: str) -> tuple[Tensor, Tensor]:
        category, features = features_of(model, images, self.classes)
        return category, self.heads[head](features)


def _all_are(scores: Tensor, wanted: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(scores, torch.full_like(scores, wanted))


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    values = [value for group in optimizer.param_groups for value in group["params"]]
    found = torch.autograd.grad(
        loss, values, allow_unused=True
    )  # a head that has nothing to tell apart is not used
    for value, gradient in zip(values, found, strict=True):
        value.grad = gradient
    optimizer.step()
