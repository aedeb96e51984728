"""The confidence gap (Fig. 3): entropy of server and client predictions on public and private data."""

from __future__ import annotations

import math

import torch
from torch import Tensor

BINS = 30


def entropy(logits: Tensor) -> Tensor:
    """Entropy in nats of softmax(logits) over the last axis, [...]."""
    log_p = torch.log_softmax(logits.to(torch.float64), -1)
    return -(log_p.exp() * log_p).sum(-1)


def edges(num_classes: int) -> list[float]:
    """Bin edges from 0 to the largest possible entropy, log J."""
    return [
        round(float(e), 6) for e in torch.linspace(0, math.log(num_classes), BINS + 1, dtype=torch.float64)
    ]


def histogram(entropies: Tensor, num_classes: int) -> list[float]:
    """Shares of the values in each bin of `edges`; they sum to 1, or are all 0 where there is no value."""
    top = math.log(num_classes)
    inside = entropies.to(torch.float64).clamp(0, top)
    counts = torch.histc(inside, bins=BINS, min=0, max=top)
    return [round(float(c), 6) for c in counts / max(1, len(entropies))]
