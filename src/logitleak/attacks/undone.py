"""What a server that knows of the clients' defenses makes of their uploads: another view of the same federation."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from torch import Tensor

from logitleak.attacks.views import ViewOf
from logitleak.defenses.base import Defense
from logitleak.defenses.spaces import Kind
from logitleak.defenses.undoing import undone
from logitleak.files.finite import all_finite
from logitleak.types import ServerView, as_logits


class UndoneView(ViewOf):
    """The same federation with every upload as its defenses undone leave it, and without the rows that say nothing.

    It knows no more than the view that it stands on: which defenses there are is public, and what undoes them is
    theirs. What the server says itself, and its shadows, were never defended and stay as they are, but for the factor
    by which noise has everything made smaller: what is compared has one scale.

    Args:
        view: whose uploads are outputs on the public set, as they left.
        kind: the form in which they travelled.
        defenses: for each client of the view, in the order in which they acted.
    """

    def __init__(self, view: ServerView, kind: Kind, defenses: Sequence[Sequence[Defense]]) -> None:
        super().__init__(view)
        self._kind: Kind = kind
        self._defenses = defenses
        self._scale = min((prod(one.scale for one in chain) for chain in defenses), default=1.0)

    def server_logits(self, round: int) -> Tensor:
        return self._scale * self.inner.server_logits(round)

    def shadow_logits(self, shadow: int, round: int) -> Tensor:
        return self._scale * self.inner.shadow_logits(shadow, round)

    def client_logits(self, client: int, round: int) -> tuple[Tensor, Tensor]:
        """Rows that say something, and what they said; see `ServerView.client_logits`."""
        rows, values = self.inner.client_logits(client, round)
        defenses = self._defenses[client]
        if len(rows) == 0 or not any(one.undoable for one in defenses):
            return rows, self._scale * values
        sent = values.double()
        found, heard = undone(sent.exp() if self._kind == "probabilities" else sent, self._kind, defenses)
        read = self._scale * as_logits(found[heard], self._kind).to(values.dtype)
        if not all_finite(
            read
        ):  # a stranger's manifest may name any setting, and this upload never left through it
            return rows, self._scale * values
        return rows[heard], read


def undoes(view: ServerView) -> bool:
    """Whether a view, or one that it stands on, has defenses undone."""
    while isinstance(view, ViewOf):
        if isinstance(view, UndoneView):
            return True
        view = view.inner
    return False
