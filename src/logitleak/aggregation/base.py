"""What an aggregator is: how the uploads of one exchange become their mean, and what the server sees of them."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from logitleak.aggregation.fixed_point import FixedPoint, Whole
from logitleak.strict import Strict
from logitleak.types import UploadKind

log = logging.getLogger(__name__)

Secrets = Callable[..., bytes]
"""From the names of a use to 32 bytes that the server cannot know."""


class AggregatorSettings(Strict):
    """Settings that every aggregator has."""


class Aggregator:
    """A way to aggregate. What does not derive from `Hiding` lets the server see every upload.

    Attributes:
        Settings: the pydantic model of its settings.
    """

    Settings: ClassVar[type[AggregatorSettings]] = AggregatorSettings


@dataclass(frozen=True)
class Sealed:
    """What one client sends: bytes that say nothing of its upload, and the shape of that, which everybody knows."""

    parts: tuple[bytes, ...]
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """How many bytes travel."""
        return sum(map(len, self.parts))


class Hiding(Aggregator, ABC):
    """An aggregator that shows the mean of all uploads, and no single one.

    Args:
        settings: an instance of the class's ``Settings``.
        kind: what is summed: logits or probabilities.
        clients: K.
        secrets: where its keys are from.

    Attributes:
        how: what clients do before they send, in a sentence.
        numbers: how values become whole numbers.

    Raises:
        UserError: so many clients cannot be summed with these settings, or a package is missing.
    """

    how: ClassVar[str]
    numbers: FixedPoint

    def __init__(self, settings: Any, kind: UploadKind, clients: int, secrets: Secrets) -> None:
        self.settings = settings
        self.kind = kind
        self.clients = clients

    @property
    def seen_by(self) -> Literal["server", "client"]:
        """Who gets the mean: the server, or clients alone."""
        return "server"

    @abstractmethod
    def nbytes(self, values: int) -> int:
        """How many bytes one client sends for so many values, about."""

    @abstractmethod
    def seal(self, client: int, round: int, values: Tensor) -> Sealed:
        """At the client: turn its upload, as `whole` numbers, into what it sends."""

    def whole(self, client: int, round: int, values: Tensor) -> Whole:
        """At the client: its upload as whole numbers, int64 [n]. What is out of range is clipped, as the log says."""
        whole, clipped = self.numbers.encode(values)
        if clipped:
            log.warning(
                "round %d: client %d clipped %d of %d values at ±%g before the sum",
                round, client, clipped, len(whole), self.numbers.largest,
            )  # fmt: skip
        return whole

    @abstractmethod
    def mean(self, round: int, sealed: Mapping[int, Sealed], absent: Collection[int]) -> Tensor:
        """The mean of what clients sealed, float32 [N, J].

        Args:
            round: the round.
            sealed: what came, by client; two or more.
            absent: the clients from which nothing came.
        """
