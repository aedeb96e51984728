"""Logits and probabilities: the two forms in which clients send outputs, and the ways between them."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

Kind = Literal["logits", "probabilities"]
"""The form of outputs [n, J]: anything finite, or rows of numbers from 0 that add up to 1."""

LEAST = 1e-6
"""The probability that logits give to a class whose probability is 0, before rows are scaled to add up to 1 again."""


def convert(values: Tensor, found: Kind, wanted: Kind) -> Tensor:
    """Outputs [n, J] in another form.

    Logits that are made from probabilities are log(max(p, `LEAST`)), less their mean over the row. They depend on the
    probabilities alone: what else the logits of a model say, their level above all, is gone.

    Args:
        values: the outputs.
        found: their form.
        wanted: the form to have them in; the same one returns them as they are.
    """
    if found == wanted:
        return values
    if wanted == "probabilities":
        return values.softmax(-1)
    logits = values.clamp_min(LEAST).log()
    return logits - logits.mean(-1, keepdim=True)


def onto_simplex(values: Tensor) -> Tensor:
    """The distributions [n, J] nearest to some rows [n, J], by Euclidean distance.

    Source: Duchi, Shalev-Shwartz, Singer and Chandra (2008), Fig. 1.
    """
    ordered = values.sort(-1, descending=True).values
    excess = ordered.cumsum(-1) - 1
    count = values.new_ones(values.shape).cumsum(-1)
    kept = (ordered * count > excess).sum(-1, keepdim=True)  # at least one, by the largest entry
    shift = excess.gather(-1, kept - 1) / kept
    return (values - shift).clamp_min(0)
