"""What a defense is: a function of one client's upload, and words that say what it is worth."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from logitleak.defenses.draws import Draws
from logitleak.defenses.inside import Company, Inside
from logitleak.defenses.spaces import Kind
from logitleak.strict import Strict


class DefenseSettings(Strict):
    """Settings of a defense; none by default."""


class Defense(ABC):
    """Changes one client's outputs before they leave the client. There is one for each client that has it.

    Args:
        settings: an instance of the class's ``Settings``.
        kind: what the scheme sends.
        draws: where all chance is from. Without chance the same outputs always leave as the same.

    Attributes:
        inside: the inside of the client, for a defense with `company`; None where it is only described or checked.
        Settings: the pydantic model of its settings.
        company: models that the client trains beside its own for it; None for a defense of outputs alone. An instance
            may set it by its settings.
        looks_inside: whether what it does depends on private data beyond the outputs. Such a one cannot stand behind
            another that promises something, since it may undo it.
        strengths: settings from the weakest to the strongest that are worth a try, for `logitleak defend`.
        undoing: what a server that knows of it makes of an upload by `undo` and `silent`, in a sentence that ends with
            a period; empty where it can do nothing but read it as it is.
    """

    Settings: ClassVar[type[DefenseSettings]] = DefenseSettings
    company: Company | None = None
    looks_inside: ClassVar[bool] = False
    strengths: ClassVar[tuple[Mapping[str, Any], ...]] = ({},)
    undoing: ClassVar[str] = ""

    def __init__(self, settings: Any, kind: Kind, draws: Draws) -> None:
        self.settings = settings
        self.kind = kind
        self.draws = draws
        self.inside: Inside | None = None

    @property
    def space(self) -> Kind:
        """The form in which `on_upload` takes and gives outputs; by default the one that the scheme sends."""
        return self.kind

    @abstractmethod
    def on_upload(self, values: Tensor, rows: Tensor, round: int) -> Tensor:
        """What leaves in place of some outputs.

        Args:
            values: [n, J] in the form of `space`, finite; they are not to be changed in place.
            rows: int64 [n], the public rows that they are for. n may be 0.
            round: from 1.

        Returns:
            [n, J] in the same form: finite, and where they are probabilities rows from 0 that add up to 1. Where models
            of the inside have diverged: NaN, and no upload leaves.
        """

    @abstractmethod
    def sees(self) -> str:
        """What is left for the server to see, in a sentence that ends with a period."""

    def guarantee(self, rows: int, rounds: int) -> str:
        """What is promised whatever the server does, in one line: unit, adjacency, ε and δ; or "none".

        Args:
            rows: public rows that a client answers for in a round, at most.
            rounds: uploads of a client.
        """
        return "none"

    def fits(self, values: Tensor) -> bool | None:
        """Whether an upload [n, J], in the form of `space`, may have come through this defense; None where it leaves
        no mark by which that could be told."""
        return None

    @property
    def linear(self) -> bool:
        """Whether what `undo` makes of a mean of uploads is the mean of what it makes of each; a server that sees their
        mean alone undoes nothing else."""
        return type(self).undo is Defense.undo

    @property
    def undoable(self) -> bool:
        """Whether, with these settings, a server that knows of it reads an upload otherwise than one that does not."""
        return bool(self.undoing)

    @property
    def scale(self) -> float:
        """By which factor a server that knows of it makes all logits smaller that it compares, uploads and its own,
        once uploads are undone; 1 leaves them."""
        return 1.0

    def undo(self, values: Tensor) -> Tensor:
        """What a server that knows the settings takes an upload for, in place of what left: what was given to
        `on_upload`, or the best guess at that; by default the upload as it is.

        Args:
            values: float64 [n, J] in the form of `space`, as they left or as later defenses were undone; n may be 0.
                They are not to be changed in place.

        Returns:
            [n, J] in the same form.
        """
        return values

    def silent(self, values: Tensor) -> Tensor:
        """Which rows of an upload say nothing of what was given to `on_upload`, bool [n]: a server that knows leaves
        them out. None by default.

        Args:
            values: as in `undo`.
        """
        return torch.zeros(len(values), dtype=torch.bool)
