"""What a defense may know of its client besides the outputs: asked for by few, and told to nobody else."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from logitleak.types import Payload


class Inside(Protocol):
    """The inside of one client. Its *understudy* is a model that begins as the client's own does, hears every message
    that the client hears, and learns nothing from private images.

    Attributes:
        held: int64 [m], ascending: the classes of the client's private images.
    """

    @property
    def held(self) -> Tensor: ...

    def follow(self, action: str, round: int, message: Payload) -> None:
        """Have the understudy do what the client does."""

    def outputs(self) -> Tensor:
        """What the understudy would have uploaded when the client last did: [n, J], in the form that the scheme
        sends."""
