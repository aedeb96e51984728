"""Numbers as whole multiples of a step: sums of such are exact, in any order, masked or encrypted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from logitleak.errors import UserError
from logitleak.types import UploadKind

Whole = NDArray[np.int64]


LEAST_LEVELS = 256
"""With fewer levels between 0 and the range a mean says little."""

Range = Annotated[float, Field(ge=1e-3, le=1e9)]
"""The largest absolute value that is summed, as users may set it: of outputs, which are neither all tiny nor beyond
what an answer may hold."""


def range_of(kind: UploadKind, given: float | None) -> float:
    """The largest absolute value that is summed: what the user gave, else 1 for probabilities and 256 for logits.

    Raises:
        UserError: probabilities would be clipped.
    """
    if kind == "probabilities" and given is not None and given < 1:
        raise UserError(
            f"Probabilities up to 1 are summed, and a range of {given:g} clips them; leave out "
            "federation.aggregation.settings.range, or set it to 1."
        )
    return given if given is not None else 1.0 if kind == "probabilities" else 256.0


@dataclass(frozen=True)
class FixedPoint:
    """Values of at most ``largest`` in steps of 2^−``fraction``."""

    largest: float
    fraction: int

    @property
    def limit(self) -> int:
        """The largest whole number."""
        return math.floor(self.largest * 2.0**self.fraction)

    @property
    def step(self) -> float:
        """What one stands for."""
        return 2.0**-self.fraction

    def encode(self, values: Tensor) -> tuple[Whole, int]:
        """Whole numbers int64 [n], row by row, and how many values were clipped.

        Args:
            values: floats of any shape, finite.
        """
        given = values.detach().cpu().to(torch.float64).flatten().numpy()
        clipped = int((np.abs(given) > self.largest).sum())
        whole = np.rint(given.clip(-self.largest, self.largest) * 2.0**self.fraction)
        return whole.astype(np.int64).clip(-self.limit, self.limit), clipped

    def mean(self, total: Whole, count: int, shape: tuple[int, ...]) -> Tensor:
        """The mean of ``count`` summands with this sum [n], float32 of this shape."""
        return torch.from_numpy(total * self.step / count).to(torch.float32).reshape(shape)
