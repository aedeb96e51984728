"""Models that clients train beside their own in a scheme, one for each; they never travel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from logitleak.files import model_state
from logitleak.files.model_state import under


@dataclass(frozen=True)
class Companion:
    """A model beside another, and what trains it."""

    model: nn.Module
    optimizer: torch.optim.Optimizer

    def state(self) -> dict[str, Tensor]:
        """Weights, buffers and moments."""
        return model_state.pack("model", self.model, self.optimizer)

    def load_state(self, table: Mapping[str, Tensor]) -> None:
        """Take back what `state` gave."""
        model_state.unpack(table, "model", self.model, self.optimizer)


class Companions:
    """All companions of the members of a bank, by what they are called.

    Args:
        members: the names of the bank's models.
        whole: the companions of the bank that this one is a part of, and its places there; None where it is whole.
    """

    def __init__(
        self, members: Sequence[str | int], whole: tuple[Companions, Sequence[int]] | None = None
    ) -> None:
        self._members = members
        self._whole = whole
        self._made: dict[str, list[Companion]] = {}
        self._kept: dict[str, Tensor] = {}  # states of companions that nobody has asked for yet

    def called(self, name: str, make: Callable[[str | int], Companion]) -> list[Companion]:
        """The companions of this name, one for each member. They are made when they are first asked for.

        Args:
            name: what they are called.
            make: from a member's name to its companion as it starts.
        """
        if self._whole is not None:
            whole, places = self._whole
            everybody = whole.called(name, make)
            return [everybody[place] for place in places]
        if name not in self._made:
            self._made[name] = [make(member) for member in self._members]
            for member, companion in zip(self._members, self._made[name], strict=True):
                if mine := under(self._kept, f"{name}/{member}/"):
                    companion.load_state(mine)
        return self._made[name]

    def known(self, name: str) -> bool:
        """Whether companions of this name were ever asked for, here or before a state was taken back."""
        if self._whole is not None:
            return self._whole[0].known(name)
        return name in self._made or bool(under(self._kept, f"{name}/"))

    def state(self) -> dict[str, Tensor]:
        """All that the companions have learnt, also those that were taken back and not asked for since."""
        table = dict(self._kept)
        for name, companions in self._made.items():
            for member, companion in zip(self._members, companions, strict=True):
                table |= {f"{name}/{member}/{key}": value for key, value in companion.state().items()}
        return table

    def load_state(self, table: Mapping[str, Tensor]) -> None:
        """Take back what `state` gave; whoever is not in it starts anew."""
        self._made, self._kept = {}, dict(table)
