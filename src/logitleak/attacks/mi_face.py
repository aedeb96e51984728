"""Model inversion on confidences (Fredrikson et al., CCS 2015), on the weights that a client sent."""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn

from logitleak.attacks.base import AttackSettings
from logitleak.attacks.shared_models import SharedModelAttack, in_order, last_bias
from logitleak.machine.forecast import Scale
from logitleak.priors.base import Prior
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


class MIFace(SharedModelAttack):
    """Gradient descent on the input, with pixels in [0, 1], toward the confidence of each label.

    The cost of an image is 1 − softmax_j, and the image of the smallest cost is kept. White box: the client's own
    weights of the newest round are what it sent, or follow from what the server sent less the learning rate times its
    gradients.
    """

    Settings = MIFaceSettings
    settings: MIFaceSettings
    looks_back = True
    assumptions = (
        *SharedModelAttack.assumptions,
        "Curious only: nothing in the protocol is changed. Only the model after training is looked at, not its steps.",
    )

    def __init__(self, settings: Any, prior: Prior, seed: int, device: torch.device | str = "cpu") -> None:
        super().__init__(settings, prior, seed, device)
        self._models: dict[int, nn.Module] = {}
        self._presence: dict[int, Tensor] = {}
        self._round = 0

    def presence(self, client: int) -> Tensor | None:
        return self._presence.get(client)

    def observe(self, view: ServerView, round: int) -> None:
        self._models, self._presence, self._round = {}, {}, round
        sent = view.global_model(round)
        for client in range(view.clients):
            gradients = view.client_gradients(client, round)
            if not gradients:
                continue
            model = self.model_of(view, sent)
            ordered = in_order(model, gradients)
            self._presence[client] = last_bias(ordered, view.knowledge.num_classes)
            with torch.no_grad():
                for parameter, gradient in zip(model.parameters(), ordered, strict=True):
                    parameter.sub_(gradient.to(self.device), alpha=sent.lr)
            self._models[client] = model.requires_grad_(False)

    def reconstruct_client(self, view: ServerView, client: int) -> Tensor | None:
        if client not in self._models:
            return None
        targets, shape = view.knowledge.target_labels, view.knowledge.public.images.shape[1:]
        level = {"black": 0.0, "gray": 0.5}[self.settings.start]
        start = torch.full((len(targets), *shape), level, device=self.device)
        return self.descend(self._models[client], targets.to(self.device), start, client).cpu()

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
            self.listener(self._round, client, step, float("nan"))
            if len(active) == 0:
                break
        self.trace.losses.append(
            {
                "round": self._round,
                "client": client,
                "step": step,
                "loss": float(costs.mean()) if len(costs) else 0.0,
            }
        )
        return best

    def memory(self, scale: Scale) -> int:
        """See `Attack.memory`: every client's model, and images with what their gradient keeps."""
        return super().memory(scale) + (scale.clients + 1) * scale.model + 8 * scale.targets * scale.image

    def steps_planned(self, view: ServerView) -> int:
        return view.clients * (self.settings.steps + 1)


def processed(images: Tensor) -> Tensor:
    """Images [n, 3, H, W] smoothed by a median of 3 x 3, then sharpened by what a mean of 3 x 3 takes away."""
    padded = nn.functional.pad(images, (1, 1, 1, 1), mode="replicate")
    smooth = padded.unfold(2, 3, 1).unfold(3, 3, 1).flatten(-2).median(-1).values
    mean = nn.functional.avg_pool2d(nn.functional.pad(smooth, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return (2 * smooth - mean).clamp(0, 1)
