"""Models beside a client's own, as a test says what they say."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from logitleak.types import Payload


class Beside:
    """Stands in for `logitleak.defenses.inside.Inside`.

    Args:
        said: what the models say, [models, n, J].
        held: classes of the client.
    """

    def __init__(self, said: Tensor, held: Sequence[int] = (0,)) -> None:
        self.held, self._said = torch.tensor(held, dtype=torch.int64), said

    def follow(self, action: str, round: int, message: Payload) -> None:
        return None

    def outputs(self) -> Tensor:
        return self._said
