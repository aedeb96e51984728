"""Paired-logits inversion, the paper's attack (Takahashi, Liu and Liu, CVPR 2023, section 3)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor

from logitleak.attacks.features import Q, assumed, needed, target_inputs
from logitleak.attacks.inversion import InversionSettings, NetworkInversion
from logitleak.priors.base import Prior
from logitleak.types import ServerView


class PLISettings(InversionSettings):
    """The paper's hyper-parameters.

    Attributes:
        alpha: weight α of the entropy in Q, Eq. 4.
        gamma: weight γ of the prior, Eq. 3 and 10.
        q: which terms of Q are used; "full" is the paper's attack, the others are its ablations.
        prior_step: when Eq. 10 is applied. "each-epoch": one optimizer step for each group of at most 64
            targets after every inversion epoch, in training mode, as the published code does; the default,
            because the paper's numbers come from it. "end": the same number of steps at the end of every
            round with batch statistics frozen, so that target inputs do not enter them. "never": Eq. 3 only.
    """

    alpha: PositiveFloat = 5.0
    gamma: NonNegativeFloat = 0.03
    q: Q = "full"
    prior_step: Literal["each-epoch", "end", "never"] = "each-epoch"


class PLI(NetworkInversion):
    """Trains G_k on pairs of server and client outputs for D_0 and feeds it the maximizer of Q.

    Eq. 2 and 3 train, Eq. 6 gives the inputs of the targets, Eq. 10 pulls them to the prior, Eq. 11 chooses
    among clients. Norms are mean squared errors on [−1, 1].
    """

    Settings = PLISettings
    settings: PLISettings
    needs = frozenset({"logits", "server_logits"})
    rows = "sensitive"
    tunable: ClassVar = ({"tau": (3.0, 10.0)}, {"gamma": (0.0, 0.03, 0.1, 0.3, 1.0)})

    def __init__(self, settings: Any, prior: Prior, seed: int, device: torch.device | str = "cpu") -> None:
        super().__init__(settings, prior, seed, device)
        self.q = self.settings.q
        self.gamma = self.settings.gamma
        self.prior_step = self.settings.prior_step
        self.needs = needed(self.settings.q)
        self.assumptions = assumed(self.settings.q)

    def target_inputs(self, view: ServerView) -> Tensor:
        known = view.knowledge
        return target_inputs(known.target_labels, known.num_classes, self.settings.alpha, self.q)
