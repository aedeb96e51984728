"""Model inversion on confidences (Fredrikson et al., CCS 2015), on the weights that a client sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn

from logitleak.attacks import rehearsal_models
from logitleak.attacks.base import AttackSettings
from logitleak.attacks.shared_models import ClientModelAttack
from logitleak.machine.forecast import Scale, Work
from logitleak.types import ServerView


class MIFaceSettings(AttackSettings):
    """The values of the original's Algorithm 1.

    Attributes:
        lr: λ, the step of gradient descent.
        steps: α, at most.
        patience: β: an image is ready when its cost has not fallen for so many steps.
        enough: γ, the confidence at which it is ready.
        start: a black image, as in the original, or a gray one.
        denoise: every so many steps the image is smoothed by a median of 3 x 3 and sharpened; 0 for never. The original
            does so for autoencoders.
    """

    lr: PositiveFloat = 0.1
    steps: PositiveInt = 5000
    patience: PositiveInt = 100
    enough: float = Field(default=0.99, gt=0, le=1)
    start: Literal["black", "gray"] = "black"
    denoise: NonNegativeInt = 0


class MIFace(ClientModelAttack):
    """Gradient descent on the input, with pixels in [0, 1], toward the confidence of each label.

    The cost of an image is 1 − softmax_j, and the image of the smallest cost is kept. White box: the client's own
    weights of the newest round.
    """

    Settings = MIFaceSettings
    settings: MIFaceSettings

    def reconstruct_client(self, view: ServerView, client: int) -> Tensor | None:
        if client not in self.models:
            return None
        targets, shape = view.knowledge.target_labels, view.knowledge.public.images.shape[1:]
        level = {"black": 0.0, "gray": 0.5}[self.settings.start]
        start = torch.full((len(targets), *shape), level, device=self.device)
        return self.descend(self.models[client], targets.to(self.device), start, client).cpu()

    def descend(self, model: nn.Module, labels: Tensor, images: Tensor, client: int) -> Tensor:
        """The best image of every label, from a start [T, 3, H, W]."""
        s = self.settings
        best, costs = images.clone(), torch.full((len(labels),), torch.inf, device=images.device)
        waited = torch.zeros(len(labels), dtype=torch.int64, device=images.device)
        active = torch.arange(len(labels), device=images.device)
        for step in range(s.steps + 1):  # the start is an image too
            now = images[active].requires_grad_()
            cost = 1 - model(now).softmax(1).gather(1, labels[active][:, None])[:, 0]
            (gradient,) = torch.autograd.grad(cost.sum(), [now])
            cost, better = cost.detach(), cost.detach() < costs[active]
            best[active[better]], costs[active[better]] = now.detach()[better], cost[better]
            waited[active] = torch.where(better, 0, waited[active] + 1)
            images[active] = (now.detach() - s.lr * gradient).clamp_(0, 1)
            if s.denoise and (step + 1) % s.denoise == 0:
                images[active] = processed(images[active])
            active = active[(waited[active] < s.patience) & (costs[active] > 1 - s.enough)]
            self.listener(self.newest, client, step, float("nan"))
            if len(active) == 0:
                break
        self.trace.losses.append(
            {
                "round": self.newest,
                "client": client,
                "step": step,
                "loss": float(costs.mean()) if len(costs) else 0.0,
            }
        )
        return best

    def memory(self, scale: Scale) -> int:
        """See `Attack.memory`: every client's model, and images with what their gradient keeps."""
        return super().memory(scale) + (scale.clients + 1) * scale.model + 8 * scale.targets * scale.image

    def work(self, scale: Scale, rounds: Sequence[int]) -> Sequence[Work]:
        """See `Attack.work`: all steps on all targets, though many an image is ready before."""
        times = scale.clients * len(rounds) * (self.settings.steps + 1)
        return [rehearsal_models.asking(scale, scale.targets, self.device, times)]

    def steps_planned(self, view: ServerView) -> int:
        return view.clients * (self.settings.steps + 1)


def processed(images: Tensor) -> Tensor:
    """Images [n, 3, H, W] smoothed by a median of 3 x 3, then sharpened by what a mean of 3 x 3 takes away."""
    padded = nn.functional.pad(images, (1, 1, 1, 1), mode="replicate")
    smooth = padded.unfold(2, 3, 1).unfold(3, 3, 1).flatten(-2).median(-1).values
    mean = nn.functional.avg_pool2d(nn.functional.pad(smooth, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return (2 * smooth - mean).clamp(0, 1)
