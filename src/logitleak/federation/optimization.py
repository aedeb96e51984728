"""How models learn: from which targets, by which loss, and with which optimizer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

Loss = Callable[..., Tensor]
"""(logits [b, J], and for every tensor of the targets its rows [b, ...]) to a scalar."""

Targets = Tensor | tuple[Tensor, ...]
"""What a model learns: one tensor [n, ...] with a row for each image, or several."""


@dataclass(frozen=True)
class Optimization:
    """Mini-batch training: learning rate, L2 weight decay, batch size (the paper: 1e-3, 1e-4 or 3e-3, 64).

    Attributes:
        kind: Adam, or plain stochastic gradient descent (FedAvg).
        precision: "float32", or "bf16" for products and convolutions in bfloat16 while training, with weights, sums
            and the optimizer in float32 (autocast). Predictions are float32 either way.
    """

    lr: float
    weight_decay: float
    batch: int
    kind: Literal["adam", "sgd"] = "adam"
    precision: Literal["float32", "bf16"] = "float32"

    def over(self, model: nn.Module) -> torch.optim.Optimizer:
        """A fresh optimizer of a model's parameters."""
        kind = torch.optim.Adam if self.kind == "adam" else torch.optim.SGD
        return kind(model.parameters(), lr=self.lr, weight_decay=self.weight_decay, fused=True)
