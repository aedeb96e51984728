"""What sums of a federation give away where their members change: differences between rounds, which hold few clients.

Behind a sum nobody sees one upload, but who took part in a round is known. Where client k is missing in round t and
there in round t + 1, the difference of the two sums is what k said, and whatever the others changed between them.
Pasquini, Francati and Ateniese (CCS 2022, "Eluding secure aggregation") and Lam et al. (ICML 2021, "Gradient
disaggregation") show the same of models.
"""

from __future__ import annotations

import torch
from torch import Tensor

from logitleak.attacks.views import ViewOf
from logitleak.types import ServerView, as_logits

LEVEL = 1e6
"""How much more clients differ than one changes from a round to the next, as a ratio of variances: so much that nothing
is supposed of what a client says."""

LEAST = 1e-6
"""An estimated probability below this, or below 0, is taken as this."""


class DifferencesView(ViewOf):
    """The same federation as differences of sums show it: an estimate of every client's outputs.

    It is the one that changes least from round to round of all that add up to what was seen (`Weights`), so that
    neighboring rounds count most. Clients that are always there or away together have the same estimate, their mean.
    It supposes that outputs change little between rounds: what all others change while a client comes or goes is taken
    for the client's. Whom it tells something of is what `isolated` says.

    Args:
        means: the mean of every round as its only client: a `SumView`, or a transcript of means. All are kept in
            memory, 4 T N J bytes.
        taking_part: bool [T, K], whose outputs are in which mean.
    """

    def __init__(self, means: ServerView, taking_part: Tensor) -> None:
        super().__init__(means)
        self.taking_part = taking_part
        self.clients = taking_part.shape[1]
        self._kept: tuple[Tensor, Tensor] | None = None
        self._heard = torch.nonzero(taking_part.any(1)).flatten()
        self._weights = Weights(taking_part[self._heard], self._heard)

    def client_logits(self, client: int, round: int) -> tuple[Tensor, Tensor]:
        """The estimate of a client that took part in the round, on the public rows that have a sum in every round."""
        if self._kept is None:
            self._kept = self._sums()
        rows, sums = self._kept
        if not bool(self.taking_part[round - 1, client]):
            return rows[:0], torch.empty(0, self.knowledge.num_classes)
        place = int(torch.searchsorted(self._heard, round - 1))
        found = torch.tensordot(self._weights.of(client, place).to(sums.dtype), sums, dims=1)
        as_probabilities = self.upload_kind == "probabilities"
        return rows, as_logits(found.clamp_min(LEAST) if as_probabilities else found, self.upload_kind)

    def _sums(self) -> tuple[Tensor, Tensor]:
        """Rows int64 [n] and the sum of each heard round on them, float32 [T', n, J]."""
        common, means = torch.arange(len(self.knowledge.public)), list[Tensor]()
        for index in self._heard.tolist():
            rows, values = self.inner.client_logits(0, index + 1)
            order = rows.argsort()
            rows = rows[order]
            shared = torch.isin(common, rows)
            common, means = common[shared], [mean[shared] for mean in means]
            means.append(values[order][torch.isin(rows, common)])
        if not means:
            return common[:0], torch.empty(0, 0, self.knowledge.num_classes)
        seen = torch.stack(means)
        del means
        if self.upload_kind == "probabilities":
            seen = seen.exp_()
        return common, seen.mul_(self.taking_part[self._heard].sum(1)[:, None, None])


class Weights:
    """What each sum weighs in the estimate of a client in a round.

    Outputs are taken as the mean b of all means plus what is the client's own, which begins anywhere (`LEVEL`) and then
    changes by steps that are alike and independent. The best linear estimate of that from sums s is
    b + C_k M⁻¹(s − |S| b), where c(t, u) = LEVEL − |t − u|/2, C_k(t, u) = c(t, u) [k in S_u], and
    M(t, u) = c(t, u) |S_t ∩ S_u|, which is positive definite (Schur) as nobody's sum is empty.

    Args:
        taking_part: bool [T, K], with somebody in each round.
        when: int64 [T], the number of each round.
    """

    def __init__(self, taking_part: Tensor, when: Tensor) -> None:
        self._members = taking_part.double()
        level = LEVEL + float(len(when) and when[-1] - when[0])
        self._kernel = level - (when[:, None] - when[None]).abs().double() / 2
        self._factor = torch.linalg.cholesky(self._kernel * (self._members @ self._members.T))

    def of(self, client: int, place: int) -> Tensor:
        """Of all sums, for a client in one of the rounds by its place: float64 [T]."""
        own = self._kernel[place] * self._members[:, client]
        found = torch.cholesky_solve(own[:, None], self._factor)[:, 0]
        size = self._members.sum(1)
        weights: Tensor = found + (1 - found @ size) / (len(size) * size)
        return weights


def isolated(taking_part: Tensor) -> Tensor:
    """Of which clients differences of sums tell something, bool [K]: of those that can be cut out of the sums alone, or
    with others that are always there and away with them, at most half of all.

    Args:
        taking_part: bool [T, K].
    """
    members = taking_part.double()
    found = torch.zeros(members.shape[1], dtype=torch.bool)
    back = torch.linalg.pinv(members)  # after `members`, the projection onto what sums tell
    groups = torch.unique(members.T, dim=0, return_inverse=True)[1]
    for group in range(int(groups.max()) + 1 if len(groups) else 0):
        mine = groups == group
        if 2 * int(mine.sum()) > len(mine) or not bool(taking_part[:, mine].any()):
            continue
        wanted = mine.double()
        found |= mine & bool((back @ (members @ wanted) - wanted).abs().max() < 1e-8)
    return found
