"""Whose outputs a confidence gap is measured against: somebody with the same public knowledge, and not these images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from logitleak.attacks.features import tempered
from logitleak.types import Domain, ServerView


class Reference(ABC):
    """Outputs to subtract from a client's.

    Args:
        tau: softmax temperature of both sides.
        domain: which public images are looked at.
    """

    def __init__(self, tau: float, domain: Domain = "sensitive") -> None:
        self.tau = tau
        self.domain: Domain = domain

    def gap(self, view: ServerView, client: int, round: int) -> tuple[Tensor, Tensor]:
        """softmax(lᵏ, τ) minus the reference, on the public images of the domain that the client answered for.

        Returns:
            rows int64 [n], ascending, and gaps float32 [n, J]; there may be none.
        """
        rows, values = outputs(view, client, round, self.tau, self.domain)
        expected, known = self.expected(view, client, round, rows, values)
        return rows[known], values[known] - expected[known]

    @abstractmethod
    def expected(
        self, view: ServerView, client: int, round: int, rows: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The reference on some rows [n, J], and bool [n] where it has anything to say.

        Args:
            view: the server's view.
            client, round: whom it is for.
            rows: int64 [n].
            values: the client's own tempered outputs [n, J].
        """


class ServerReference(Reference):
    """f_0, the server's own model (Eq. 1)."""

    def expected(
        self, view: ServerView, client: int, round: int, rows: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See `Reference.expected`."""
        return tempered(view.server_logits(round)[rows], self.tau), torch.ones(len(rows), dtype=torch.bool)


class ShadowReference(Reference):
    """The mean of clients that the server trained by itself, on public data alone."""

    def expected(
        self, view: ServerView, client: int, round: int, rows: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See `Reference.expected`."""
        total = torch.zeros_like(values)
        for shadow in range(view.shadows):
            total += tempered(view.shadow_logits(shadow, round)[rows], self.tau)
        return total / view.shadows, torch.ones(len(rows), dtype=torch.bool)


class NoReference(Reference):
    """Nothing: what the client says stands alone. Where the public set has no labels, only who holds images of a person
    can know the class, so there is nothing that others know and that would have to be taken away."""

    def expected(
        self, view: ServerView, client: int, round: int, rows: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See `Reference.expected`."""
        return torch.zeros_like(values), torch.ones(len(rows), dtype=torch.bool)


class OthersReference(Reference):
    """The mean of the other clients that answered for the same image. The sum over all of them is kept for each
    round, so that every upload is read twice and not K times.

    Where others answered for less than half of a client's images, as behind a defense that answers for few, the
    server's own outputs stand for them, moved by what the others say beyond these on the images that they did answer
    for.
    """

    def __init__(self, tau: float, domain: Domain = "sensitive") -> None:
        super().__init__(tau, domain)
        self._sums: dict[int, tuple[Tensor, Tensor]] = {}

    def expected(
        self, view: ServerView, client: int, round: int, rows: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See `Reference.expected`."""
        if round not in self._sums:
            self._sums[round] = self._sum(view, round)
        total, count = self._sums[round]
        others = count[rows] - 1
        heard = int(count.sum()) - len(rows)  # answers of others, for whatever images
        if heard > 0 and 2 * int((others > 0).sum()) < len(rows) and "server_logits" in view.provides:
            own = tempered(view.server_logits(round), self.tau)
            beyond = (total - count[:, None] * own).sum(0) - (values - own[rows]).sum(0)
            return own[rows] + beyond / heard, torch.ones(len(rows), dtype=torch.bool)
        return (total[rows] - values) / others.clamp_min(1)[:, None], others > 0

    def _sum(self, view: ServerView, round: int) -> tuple[Tensor, Tensor]:
        """Tempered outputs [N, J] summed over the clients, and how many answered for each row [N]."""
        public, classes = len(view.knowledge.public), view.knowledge.num_classes
        total, count = torch.zeros(public, classes), torch.zeros(public, dtype=torch.int64)
        for client in range(view.clients):
            rows, values = outputs(view, client, round, self.tau, self.domain)
            total[rows] += values
            count[rows] += 1
        return total, count


_KINDS: dict[str, Callable[[float, Domain], Reference]] = {
    "server": ServerReference,
    "others": OthersReference,
    "shadow": ShadowReference,
    "none": NoReference,
}


def reference_of(kind: str, tau: float, domain: Domain = "sensitive") -> Reference:
    """The reference of this name: "server", "others", "shadow" or "none"."""
    return _KINDS[kind](tau, domain)


def outputs(
    view: ServerView, client: int, round: int, tau: float, domain: Domain = "sensitive"
) -> tuple[Tensor, Tensor]:
    """Tempered outputs of a client on the images of a domain that it answered for: rows int64 [n], ascending, and
    float32 [n, J]."""
    rows, logits = view.client_logits(client, round)
    if domain != "all":
        sensitive = view.knowledge.public.sensitive[rows]
        keep = sensitive if domain == "sensitive" else ~sensitive
        rows, logits = rows[keep], logits[keep]
    order = rows.argsort()
    return rows[order], tempered(logits[order], tau)
