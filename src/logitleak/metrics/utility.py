"""Utility: what the federation is worth to those who take part."""

from __future__ import annotations

from torch import Tensor

from logitleak.metrics.proportion import Share, share


def accuracy(logits: Tensor, labels: Tensor) -> Share | None:
    """Share of held-out images whose label has the largest logit; None where nothing is held out.

    Args:
        logits: [n, J].
        labels: int64 [n].
    """
    if len(labels) == 0:
        return None
    return share((logits.argmax(-1) == labels).tolist())
