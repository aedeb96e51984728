"""Inverting gradients (Geiping et al., 2020): what weights give away, to compare logits with.

A dummy image of each label is changed until its gradient on the sent-out model points where the client's does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from logitleak.attacks.base import Attack, AttackSettings
from logitleak.attacks.selection import smallest
from logitleak.errors import UserError
from logitleak.machine.forecast import Scale
from logitleak.metrics.image import total_variation
from logitleak.models import base
from logitleak.priors.base import Prior
from logitleak.seeds import derive
from logitleak.types import GlobalModel, Reconstructions, ServerView


class GradientSettings(AttackSettings):
    """The values of the paper's comparison.

    Attributes:
        lr: of Adam on the pixels.
        steps: in each round.
        tv: weight of total variation.
    """

    lr: PositiveFloat = 0.3
    steps: PositiveInt = 150
    tv: NonNegativeFloat = 0.01


class GradientInversion(Attack):
    """Minimizes 1 − cos(gradient of the dummies, gradient of the client) + tv · TV over one dummy image for each
    label that the gradient gives away, going on from round to round.

    Labels are restored from the gradient of the last bias: with cross entropy it is negative for classes that
    the client has images of (Zhao et al., 2020). The same sign names the owner, so Eq. 11 is not needed.
    """

    Settings = GradientSettings
    settings: GradientSettings
    needs = frozenset({"gradients"})
    assumptions = (
        "The server sends out a model and receives each client's weights or gradients: it sees far more than logits.",
        "The server knows which labels are private targets.",
    )

    def __init__(self, settings: Any, prior: Prior, seed: int, device: torch.device | str = "cpu") -> None:
        super().__init__(settings, prior, seed, device)
        self._dummies: dict[int, Tensor] = {}  # client to [J, 3, H, W]; rows of restored labels are in use
        self._presence: dict[int, Tensor] = {}  # client to [J], the gradient of the last bias

    def observe(self, view: ServerView, round: int) -> None:
        sent = view.global_model(round)
        model = self._model(view, sent)
        for client in range(view.clients):
            gradients = view.client_gradients(client, round)
            if not gradients:  # absent in this round: what is known of it stays
                continue
            ordered = [
                gradients[name] for name, _ in model.named_parameters()
            ]  # a file's names are in no order
            self._presence[client] = _last_bias(ordered, view.knowledge.num_classes)
            labels = torch.nonzero(self._presence[client] < 0).flatten()
            if len(labels):
                images = self._dummies.setdefault(client, self._start(view, client))
                images[labels] = self._match(model, gradients, labels, images[labels], round, client)

    def reconstruct_client(self, view: ServerView, client: int) -> Tensor | None:
        if client not in self._presence:
            return None
        targets, shape = view.knowledge.target_labels, view.knowledge.public.images.shape[1:]
        images = torch.full((len(targets), *shape), 0.5)  # gray: nothing is claimed
        if client in self._dummies:
            found = self._presence[client][targets] < 0
            images[found] = self._dummies[client][targets[found]]
        return images

    def choose(self, images: Tensor, labels: Tensor) -> Reconstructions:
        never = torch.full((len(labels),), torch.inf)  # who never answered owns nothing that is known
        scores = torch.stack(
            [self._presence[k][labels] if k in self._presence else never for k in range(len(images))]
        )
        return smallest(images, labels, scores, self.unheard)

    def memory(self, scale: Scale) -> int:
        """See `Attack.memory`: one dummy for each class and client, and gradients of a client's gradients."""
        dummies = scale.classes * scale.image
        return super().memory(scale) + (scale.clients + 4) * dummies + 8 * scale.model

    def steps_planned(self, view: ServerView) -> int:
        return view.clients * self.settings.steps

    def state(self) -> dict[str, Tensor]:
        dummies = {f"dummies/{k}": value for k, value in self._dummies.items()}
        return dummies | {f"presence/{k}": value for k, value in self._presence.items()}

    def load_state(self, table: Mapping[str, Tensor], view: ServerView) -> None:
        for name, value in table.items():
            kind, _, client = name.partition("/")
            {"dummies": self._dummies, "presence": self._presence}[kind][int(client)] = value.clone()

    def _model(self, view: ServerView, sent: GlobalModel) -> nn.Module:
        public, classes = view.knowledge.public, view.knowledge.num_classes
        model = base.build(sent.architecture, public.image_size, classes, derive(self.seed, "gradients"))
        try:
            model.load_state_dict(dict(sent.weights))
        except RuntimeError:
            raise UserError(
                f'The weights that the server sent are not those of a "{sent.architecture}" with {classes} classes.'
            ) from None
        return model.to(self.device).eval()

    def _start(self, view: ServerView, client: int) -> Tensor:
        shape = (view.knowledge.num_classes, *view.knowledge.public.images.shape[1:])
        return torch.rand(shape, generator=derive(self.seed, "gradients", "start", client))

    def _match(
        self,
        model: nn.Module,
        gradients: Mapping[str, Tensor],
        labels: Tensor,
        start: Tensor,
        round: int,
        client: int,
    ) -> Tensor:
        """Change the dummies [L, 3, H, W] of these labels toward the client's gradient."""
        s = self.settings
        wanted = [gradients[name].to(self.device) for name, _ in model.named_parameters()]
        parameters = list(model.parameters())
        labels = labels.to(self.device)
        images = start.to(self.device).clone().requires_grad_()
        optimizer = torch.optim.Adam([images], lr=s.lr)
        for step in range(1, s.steps + 1):
            loss = F.cross_entropy(model(images), labels)
            found = torch.autograd.grad(loss, parameters, create_graph=True)
            cost = cosine_distance(found, wanted) + s.tv * total_variation(images).mean()
            (images.grad,) = torch.autograd.grad(cost, [images])
            optimizer.step()
            with torch.no_grad():
                images.clamp_(0, 1)
            self.listener(round, client, step, float("nan"))
        final = float(cost.detach())
        if not math.isfinite(final):
            raise UserError(f"The matching of client {client}'s gradient is not finite; lower lr.")
        record = {"round": round, "client": client, "step": s.steps, "loss": final}
        self.trace.losses.append(record)
        return images.detach().cpu()


def cosine_distance(a: list[Tensor] | tuple[Tensor, ...], b: list[Tensor]) -> Tensor:
    """1 − cosine of two gradients, each a list of tensors; 1 where one is zero."""
    dot = torch.stack([(x * y).sum() for x, y in zip(a, b, strict=True)]).sum()
    # inside the root: a gradient of exactly zero (a label predicted with certainty) must not make NaN of its own
    norms = [(torch.stack([x.square().sum() for x in each]).sum() + 1e-24).sqrt() for each in (a, b)]
    return 1 - dot / (norms[0] * norms[1])


def _last_bias(gradients: Sequence[Tensor], num_classes: int) -> Tensor:
    """The gradient of the bias of the last layer, [J], of those of all parameters in the order of layers."""
    biases = [value for value in gradients if value.shape == (num_classes,)]
    if not biases:
        raise UserError("The clients' model has no bias of its classes; labels cannot be restored from it.")
    return biases[-1]
