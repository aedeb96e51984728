"""What attacks on shared models have in common: the model that was sent out, and which labels a client has."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from logitleak.attacks.base import Attack
from logitleak.attacks.selection import smallest
from logitleak.errors import UserError
from logitleak.models import base
from logitleak.priors.base import Prior
from logitleak.seeds import derive
from logitleak.types import GlobalModel, Reconstructions, ServerView


class SharedModelAttack(Attack):
    """Sees the model of every round and each client's gradients, which say the same as its weights.

    Labels are restored from the gradient of the last bias: with cross entropy that of class j is the mean over images
    of p_j less the share of images of j, so it is negative for the classes that the client has images of (Zhao et al.,
    2020). The same sign names the owner, so Eq. 11 is not needed.
    """

    needs = frozenset({"gradients"})
    assumptions: tuple[str, ...] = (
        "The server sends out a model and receives each client's weights or gradients: it sees far more than logits.",
        "The server knows which labels are private targets.",
    )

    def __init__(self, settings: Any, prior: Prior, seed: int, device: torch.device | str = "cpu") -> None:
        super().__init__(settings, prior, seed, device)
        self._presence: dict[
            int, Tensor
        ] = {}  # client to [J], the gradient of the last bias as it was last heard

    def hear(self, view: ServerView, round: int, model: nn.Module) -> Iterator[tuple[int, list[Tensor]]]:
        """Of every client that answered in a round its gradients, in the order of layers, once it is noted which labels
        it has. What is known of one that was absent stays.

        Args:
            view: the server's.
            round: which.
            model: that was sent out.
        """
        for client in range(view.clients):
            if gradients := view.client_gradients(client, round):
                ordered = [
                    gradients[name] for name, _ in model.named_parameters()
                ]  # a file's names are in no order
                self._presence[client] = last_bias(ordered, view.knowledge.num_classes)
                yield client, ordered

    def choose(self, images: Tensor, labels: Tensor) -> Reconstructions:
        never = torch.full((len(labels),), torch.inf)  # who never answered owns nothing that is known
        known = [self._presence.get(k) for k in range(len(images))]
        scores = torch.stack([never if one is None else one[labels] for one in known])
        return smallest(images, labels, scores, self.unheard)

    def model_of(self, view: ServerView, sent: GlobalModel) -> nn.Module:
        """The model that was sent out, on the attack's device and not to be trained.

        Raises:
            UserError: the weights are not of the architecture that they are said to be of.
        """
        public, classes = view.knowledge.public, view.knowledge.num_classes
        model = base.build(sent.architecture, public.image_size, classes, derive(self.seed, "gradients"))
        try:
            model.load_state_dict(dict(sent.weights))
        except RuntimeError:
            raise UserError(
                f'The weights that the server sent are not those of a "{sent.architecture}" with {classes} classes.'
            ) from None
        return model.to(self.device).eval()


class ClientModelAttack(SharedModelAttack):
    """Looks at each client's own weights of the newest round: what it sent, or what the server sent less the learning
    rate times the client's gradients.

    Attributes:
        models: of the clients that answered in the newest round, not to be trained.
        newest: that round.
    """

    looks_back = True
    assumptions = (
        *SharedModelAttack.assumptions,
        "Curious only: nothing in the protocol is changed. Only the model after training is looked at, not its steps.",
    )

    def __init__(self, settings: Any, prior: Prior, seed: int, device: torch.device | str = "cpu") -> None:
        super().__init__(settings, prior, seed, device)
        self.models: dict[int, nn.Module] = {}
        self.newest = 0

    def observe(self, view: ServerView, round: int) -> None:
        self.models, self._presence, self.newest = {}, {}, round
        sent = view.global_model(round)
        common = self.model_of(view, sent)
        for client, ordered in self.hear(view, round, common):
            model = copy.deepcopy(common)
            with torch.no_grad():
                for parameter, gradient in zip(model.parameters(), ordered, strict=True):
                    parameter.sub_(gradient.to(self.device), alpha=sent.lr)
            self.models[client] = model.requires_grad_(False)


def last_bias(gradients: Sequence[Tensor], num_classes: int) -> Tensor:
    """The gradient of the bias of the last layer, [J], of those of all parameters in the order of layers.

    Raises:
        UserError: there is none.
    """
    biases = [value for value in gradients if value.shape == (num_classes,)]
    if not biases:
        raise UserError("The clients' model has no bias of its classes; labels cannot be restored from it.")
    return biases[-1]


def label_counts(bias: Tensor, probabilities: Tensor, images: int) -> Tensor:
    """How many images of each class one step has learnt from, int64 [J], summing to ``images``.

    The gradient of the last bias is p̄ − n/B, so n = B·(p̄ − g); p̄ is not known, and is taken from images that are. What
    is left over by rounding goes to the largest remainders.

    Args:
        bias: the gradient of the last bias, [J], of one step.
        probabilities: p̄, the mean prediction of the model that was sent out, [J].
        images: B.
    """
    exact = (images * (probabilities.double() - bias.double())).clamp_min(0)
    exact = exact * images / exact.sum().clamp_min(1e-12)
    counts = exact.floor()
    order = (exact - counts).argsort(descending=True)
    counts[order[: images - int(counts.sum())]] += 1
    return counts.to(torch.int64)
