"""Training-based inversion (Yang et al., 2019), the baseline that the paper compares with."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from logitleak.attacks.features import assumed, target_inputs
from logitleak.attacks.inversion import InversionSettings, NetworkInversion
from logitleak.priors.base import Prior
from logitleak.types import ServerView


class TBISettings(InversionSettings):
    """As PLI's network, without server, prior and Q.

    Attributes:
        train_on: "public" is the baseline: the whole public set, insensitive images included. "sensitive"
            trains on D_0 alone, as PLI does, which separates the choice of data from the pairing.
    """

    train_on: Literal["public", "sensitive"] = "public"


class TBI(NetworkInversion):
    """Trains a network from a client's outputs to public images and feeds it one-hot vectors.

    Every client's uploads are inverted with a network of their own (the published code asks the last client
    only), batch normalization is in training mode in every round, and Eq. 11 chooses among clients.
    """

    Settings = TBISettings
    settings: TBISettings
    needs = frozenset({"logits"})
    kind = "baseline"
    q = "client"
    tunable: ClassVar = ({"tau": (3.0, 10.0)},)

    def __init__(self, settings: Any, prior: Prior, seed: int, device: torch.device | str = "cpu") -> None:
        super().__init__(settings, prior, seed, device)
        self.rows = "all" if self.settings.train_on == "public" else "sensitive"
        if self.rows == "sensitive":
            self.assumptions = assumed("client")

    def target_inputs(self, view: ServerView) -> Tensor:
        known = view.knowledge
        return target_inputs(known.target_labels, known.num_classes, alpha=1.0, q="client")
