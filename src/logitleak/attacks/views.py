"""Other views of the same federation: what a server sees behind a secure sum, what less of it shows, and views for
controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from logitleak.errors import UserError
from logitleak.types import MODEL_KINDS, GlobalModel, Knowledge, ServerView, UploadKind, as_logits


class ViewOf:
    """A view that shows what another shows; subclasses change a part of it."""

    def __init__(self, view: ServerView) -> None:
        self.inner = view
        self.knowledge: Knowledge = view.knowledge
        self.clients = view.clients
        self.rounds = view.rounds
        self.provides = view.provides
        self.upload_kind: UploadKind = view.upload_kind
        self.shadows = view.shadows

    def client_logits(self, client: int, round: int) -> tuple[Tensor, Tensor]:
        return self.inner.client_logits(client, round)

    def server_logits(self, round: int) -> Tensor:
        return self.inner.server_logits(round)

    def shadow_logits(self, shadow: int, round: int) -> Tensor:
        return self.inner.shadow_logits(shadow, round)

    def global_model(self, round: int) -> GlobalModel:
        return self.inner.global_model(round)

    def client_gradients(self, client: int, round: int) -> Mapping[str, Tensor]:
        return self.inner.client_gradients(client, round)

    def generated(self, round: int) -> tuple[Tensor, Tensor]:
        return self.inner.generated(round)


class SumView(ViewOf):
    """What a server sees behind a secure sum: the mean of all uploads, as if there were one client.

    It is the mean of what is averaged: of probabilities where those are sent (DS-FL), of logits where logits are. Rows
    that some client that took part in the round did not answer for have no sum.

    Args:
        view: all uploads.
        members: whose mean it is; None for everybody. The others collude with the server, which takes their uploads
            from the sum.

    Raises:
        UserError: clients send models, not outputs.
    """

    def __init__(self, view: ServerView, members: Sequence[int] | None = None) -> None:
        super().__init__(view)
        self.members = range(view.clients) if members is None else members
        if view.upload_kind in MODEL_KINDS:
            raise UserError(
                "The view of a sum is made of outputs on the public set; these clients send models."
            )
        self.clients = 1

    def client_logits(self, client: int, round: int) -> tuple[Tensor, Tensor]:
        """The mean upload of a round, as `ServerView.client_logits` gives one client's."""
        total, common, heard = torch.empty(0), torch.empty(0, dtype=torch.int64), 0
        as_probabilities = self.upload_kind == "probabilities"
        for k in self.members:
            rows, values = self.inner.client_logits(k, round)
            if len(rows) == 0:
                continue
            order = rows.argsort()
            rows, values = rows[order], values[order]
            if as_probabilities:
                values = values.exp()
            if heard == 0:
                common, total = rows, values
            else:
                total = total[torch.isin(common, rows)] + values[torch.isin(rows, common)]
                common = common[torch.isin(common, rows)]
            heard += 1
        if heard == 0:
            return self.inner.client_logits(self.members[0], round)
        mean = total / heard
        return common, as_logits(mean, self.upload_kind)


class OwnModelView(ViewOf):
    """The server's own model in place of the only client: a control for attacks. It knows what is public and nothing
    else wherever the server learns from the public set alone."""

    def __init__(self, view: ServerView) -> None:
        super().__init__(view)
        self.clients = 1

    def client_logits(self, client: int, round: int) -> tuple[Tensor, Tensor]:
        """f_0 on every row that some client answered for."""
        answered = [self.inner.client_logits(k, round)[0] for k in range(self.inner.clients)]
        rows = torch.cat(answered).unique()
        return rows, self.inner.server_logits(round)[rows]


class WithoutClient(ViewOf):
    """The same federation seen without one client's uploads: a control for attacks that compare clients."""

    def __init__(self, view: ServerView, left_out: int) -> None:
        super().__init__(view)
        self.kept = [k for k in range(view.clients) if k != left_out]
        self.clients = len(self.kept)

    def client_logits(self, client: int, round: int) -> tuple[Tensor, Tensor]:
        """The upload of the client that bears this number once the other is gone."""
        return self.inner.client_logits(self.kept[client], round)

    def client_gradients(self, client: int, round: int) -> Mapping[str, Tensor]:
        """The update of the same."""
        return self.inner.client_gradients(self.kept[client], round)


class FirstRounds(ViewOf):
    """The same federation as it was after some rounds."""

    def __init__(self, view: ServerView, rounds: int) -> None:
        super().__init__(view)
        self.rounds = min(rounds, view.rounds)


class LastRound(ViewOf):
    """The same federation of which the last round alone was kept, as round 1."""

    def __init__(self, view: ServerView) -> None:
        super().__init__(view)
        self.rounds = min(1, view.rounds)

    def client_logits(self, client: int, round: int) -> tuple[Tensor, Tensor]:
        """The upload of the last round."""
        return self.inner.client_logits(client, self.inner.rounds)

    def server_logits(self, round: int) -> Tensor:
        """The server's own outputs in the last round."""
        return self.inner.server_logits(self.inner.rounds)


class HardLabels(ViewOf):
    """The same federation whose clients name the likeliest class and nothing else."""

    certain = 1e4
    """How much larger that class's logit is: its probability is 1 at any temperature that is used."""

    def client_logits(self, client: int, round: int) -> tuple[Tensor, Tensor]:
        """0 for the likeliest class, and far less for the others."""
        rows, values = self.inner.client_logits(client, round)
        hard = torch.full_like(values, -self.certain)
        if len(values):
            hard.scatter_(1, values.argmax(1, keepdim=True), 0.0)
        return rows, hard
