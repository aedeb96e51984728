"""Gradient matching: dummy images are changed until their gradient is a client's. One engine, whose parts attacks set.

What differs from attack to attack: how far two gradients are apart, what an image should look like besides, where
dummies begin, how they are changed, and whether their labels are known or found on the way.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from logitleak.attacks import rehearsal_models
from logitleak.attacks.base import AttackSettings
from logitleak.attacks.shared_models import SharedModelAttack
from logitleak.errors import UserError
from logitleak.machine.forecast import Scale, Work
from logitleak.priors.base import Prior
from logitleak.seeds import derive
from logitleak.types import ServerView


class MatchingSettings(AttackSettings):
    """How dummies are changed.

    Attributes:
        lr: of the optimizer on the pixels.
        steps: of it, in each round.
        restarts: from how many starts; what matches best is kept. The first goes on from the round before.
    """

    lr: PositiveFloat = 0.3
    steps: PositiveInt = 150
    restarts: PositiveInt = 1


class GradientMatching(SharedModelAttack):
    """One dummy image for each label that a client's gradient gives away; they go on from round to round.

    Attributes:
        soft: whether labels are found along with images, as softmax of numbers that are changed too. A label that was
            restored then gets the dummy that is most of it.
        boxed: whether pixels are held in [0, 1] in every step, or at the end alone.
    """

    Settings = MatchingSettings
    settings: MatchingSettings
    soft: ClassVar[bool] = False
    boxed: ClassVar[bool] = True

    def __init__(self, settings: Any, prior: Prior, seed: int, device: torch.device | str = "cpu") -> None:
        super().__init__(settings, prior, seed, device)
        self._dummies: dict[int, Tensor] = {}  # client to [J, 3, H, W]; rows of restored labels are in use

    @abstractmethod
    def distance(self, found: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
        """How far the dummies' gradient is from the client's, a scalar."""

    def regularizer(self, images: Tensor, soft: Tensor | None, labels: Tensor) -> Tensor | float:
        """What else is minimized: of dummies [L, 3, H, W], their soft labels [L, J] and the restored ones [L]."""
        return 0.0

    def optimizer(self, parameters: list[Tensor]) -> torch.optim.Optimizer:
        """What changes the dummies."""
        return torch.optim.Adam(parameters, lr=self.settings.lr)

    def start(self, shape: torch.Size, generator: torch.Generator) -> Tensor:
        """Where dummies begin, of this shape."""
        return torch.rand(shape, generator=generator)

    def observe(self, view: ServerView, round: int) -> None:
        model = self.model_of(view, view.global_model(round))
        for client, ordered in self.hear(view, round, model):
            labels = torch.nonzero(self._presence[client] < 0).flatten()
            if len(labels):
                images = self._dummies.setdefault(client, self._start(view, client))
                images[labels] = self._best(view, model, ordered, labels, round, client)

    def reconstruct_client(self, view: ServerView, client: int) -> Tensor | None:
        if client not in self._presence:
            return None
        targets, shape = view.knowledge.target_labels, view.knowledge.public.images.shape[1:]
        images = torch.full((len(targets), *shape), 0.5)  # gray: nothing is claimed
        if client in self._dummies:
            found = self._presence[client][targets] < 0
            images[found] = self._dummies[client][targets[found]]
        return images

    def memory(self, scale: Scale) -> int:
        """See `Attack.memory`: one dummy for each class and client, and gradients of a client's gradients."""
        dummies = scale.classes * scale.image
        return super().memory(scale) + (scale.clients + 4) * dummies + 8 * scale.model

    @property
    def costs_a_step(self) -> int:
        """How often the cost is computed in a step of the optimizer, at most."""
        return 1

    def work(self, scale: Scale, rounds: Sequence[int]) -> Sequence[Work]:
        """See `Attack.work`: the dummies of one client's labels, in every step from every start."""
        costs = self.settings.steps * self.settings.restarts * self.costs_a_step
        times = scale.clients * len(rounds) * costs
        labels = rehearsal_models.labels_of(scale)
        return [rehearsal_models.matching(scale, labels, self.distance, self.device, times)]

    def steps_planned(self, view: ServerView) -> int:
        return view.clients * self.settings.steps * self.settings.restarts

    def state(self) -> dict[str, Tensor]:
        dummies = {f"dummies/{k}": value for k, value in self._dummies.items()}
        return dummies | {f"presence/{k}": value for k, value in self._presence.items()}

    def load_state(self, table: Mapping[str, Tensor], view: ServerView) -> None:
        for name, value in table.items():
            kind, _, client = name.partition("/")
            {"dummies": self._dummies, "presence": self._presence}[kind][int(client)] = value.clone()

    def _start(self, view: ServerView, client: int, *names: str | int) -> Tensor:
        shape = (view.knowledge.num_classes, *view.knowledge.public.images.shape[1:])
        return self.start(torch.Size(shape), derive(self.seed, "gradients", "start", client, *names))

    def _best(
        self,
        view: ServerView,
        model: nn.Module,
        gradients: Sequence[Tensor],
        labels: Tensor,
        round: int,
        client: int,
    ) -> Tensor:
        """Of all starts the dummies [L, 3, H, W] of these labels that match the client's gradient best.

        Raises:
            UserError: from no start a cost was a number.
        """
        found, cost = self._dummies[client][labels], math.inf
        for again in range(self.settings.restarts):
            start = (
                self._start(view, client, round, again)[labels] if again else self._dummies[client][labels]
            )
            images, value = self._match(model, gradients, labels, start, (round, client, again))
            if value < cost:
                found, cost = images, value
        if not math.isfinite(cost):
            raise UserError(f"The matching of client {client}'s gradient is not finite; lower lr.")
        step = self.settings.steps * self.settings.restarts
        self.trace.losses.append({"round": round, "client": client, "step": step, "loss": cost})
        return found

    def _match(
        self,
        model: nn.Module,
        gradients: Sequence[Tensor],
        labels: Tensor,
        start: Tensor,
        which: tuple[int, int, int],
    ) -> tuple[Tensor, float]:
        """Change the dummies [L, 3, H, W] of these labels toward the client's gradient. Of all steps the dummies with
        the smallest cost are kept, beside it: second-order optimizers may leave what they had found.

        Args:
            model: that was sent out.
            gradients: of the client.
            labels: int64 [L], restored.
            start: where the dummies begin.
            which: round, client, and which of several starts this is.
        """
        round, client, again = which
        parameters = list(model.parameters())
        wanted = [gradient.to(self.device) for gradient in gradients]
        labels = labels.to(self.device)
        images = start.to(self.device).clone().requires_grad_()
        free = [images]
        if self.soft:
            generator = derive(self.seed, "gradients", "labels", client, round, again)
            soft_start = torch.randn(len(labels), len(self._presence[client]), generator=generator)
            free.append(soft_start.to(self.device).requires_grad_())
        optimizer = self.optimizer(free)
        best, cost_of_best = [each.detach().clone() for each in free], math.inf

        def cost() -> Tensor:
            logits = model(images)
            soft = free[1].softmax(1) if self.soft else None
            loss = F.cross_entropy(logits, labels if soft is None else soft)
            found = torch.autograd.grad(loss, parameters, create_graph=True)
            return self.distance(found, wanted) + self.regularizer(images, soft, labels)

        def closure() -> float:
            nonlocal best, cost_of_best
            now = cost()
            for each, gradient in zip(free, torch.autograd.grad(now, free), strict=True):
                each.grad = gradient.contiguous()  # L-BFGS flattens it
            value = float(now.detach())
            if value < cost_of_best:
                best, cost_of_best = [each.detach().clone() for each in free], value
            return value

        for step in range(1, self.settings.steps + 1):
            optimizer.step(closure)
            if self.boxed:
                with torch.no_grad():
                    images.clamp_(0, 1)
            self.listener(round, client, step, float("nan"))
            if not all(bool(each.isfinite().all()) for each in free):
                break
        found = best[0].clamp(0, 1).cpu()
        if self.soft:
            found = found[best[1].softmax(1).cpu()[:, labels.cpu()].argmax(0)]
        return found, cost_of_best


def squared_distance(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """The squared L2 distance of two gradients, each a list of tensors."""
    return torch.stack([(x - y).square().sum() for x, y in zip(found, wanted, strict=True)]).sum()


def cosine_distance(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """1 − cosine of two gradients, each a list of tensors; 1 where one is zero."""
    dot = torch.stack([(x * y).sum() for x, y in zip(found, wanted, strict=True)]).sum()
    # inside the root: a gradient of exactly zero (a label predicted with certainty) must not make NaN of its own
    norms = [(torch.stack([x.square().sum() for x in each]).sum() + 1e-24).sqrt() for each in (found, wanted)]
    return 1 - dot / (norms[0] * norms[1])
