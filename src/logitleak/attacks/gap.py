"""Confidence-gap inversion: what a client believes and somebody without its images does not.

The paper's attack pairs a client's outputs with the server's, and much of what it rebuilds the server knew already.
Taken literally, its confidence gap is a difference: the input here is

    z = softmax(lᵏ, τ) − reference,    centered over the public images,

with the reference the outputs of somebody who learnt from the same public data and not from client k's images. The
input of target j is the unit vector e_j, "this client believes more in j", and the inversion is the best linear one, as
in `ridge`. What both know cancels, so that without the private images nothing of the person should come back; twin
worlds measure whether that holds. Several rounds stand side by side as inputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

from logitleak.attacks import rehearsal
from logitleak.attacks.base import Attack, AttackSettings
from logitleak.attacks.departures import Departures
from logitleak.attacks.linear import linear_memory, rescale, shares
from logitleak.attacks.references import Reference, reference_of
from logitleak.attacks.selection import select, smallest
from logitleak.errors import UserError
from logitleak.machine.forecast import Scale, Work
from logitleak.priors.base import Prior
from logitleak.types import Reconstructions, ServerView

Rounds = (
    Literal["all", "last"] | PositiveInt | Annotated[list[PositiveInt], Field(min_length=1, max_length=1000)]
)


class Fixed(NamedTuple):
    """Rounds, temperature and weight where nobody chose them."""

    rounds: Literal["all", "last"]
    tau: float
    lam: float


LABELLED = Fixed("all", 10.0, 1.0)
UNLABELLED = Fixed("all", 10.0, 0.1)
UNLABELLED_ALONE = Fixed("last", 10.0, 0.1)
"""What leaked most in federations of the synthetic people that ship with the tool (docs/results.md): with a labelled
public set, without labels, and without labels and with nobody else to compare with. Where the public set has labels,
tuning is better than this."""


class GapSettings(AttackSettings):
    """Hyper-parameters; null for what was best on synthetic people, see `LABELLED`.

    Attributes:
        tau: softmax temperature τ.
        lam: ridge weight λ, relative to the mean of the Gram matrix' diagonal.
        reference: whose outputs are subtracted. "server": f_0. "others": the mean of the other clients, which have had
            a client's training. "shadow": clients that the server trains by itself on public data. "none": nothing.
            "auto": others where there are any; else the server, which has learnt the same labels; and none where there
            are no labels to learn, for the server then learns from the client.
        rounds: which rounds are used, of those observed so far: all, the last one, or their numbers. A round that is
            not there yet, or without two usable rows, gives way to the newest one that has them.
        choice: how the client is chosen whose image is shown: "column", the one that believes more in the target
            than the others do when it first answered; or "eq11".
        contrast: the share of the public images' standard deviation that a reconstruction's departure from the mean
            image is rescaled to.
    """

    tau: PositiveFloat | None = None
    lam: PositiveFloat | None = None
    reference: Literal["auto", "server", "others", "shadow", "none"] = "auto"
    rounds: Rounds | None = None
    choice: Literal["column", "eq11"] = "column"
    contrast: PositiveFloat = 0.7


class Gap(Attack):
    """Solves for the linear inversion of the confidence gap, separately for every client."""

    Settings = GapSettings
    settings: GapSettings
    looks_back = True
    tuned_by_default = True
    assumptions: tuple[str, ...] = (
        "The server knows which labels are private targets, and which public images are of the sensitive domain.",
    )

    def __init__(self, settings: Any, prior: Prior, seed: int, device: torch.device | str = "cpu") -> None:
        super().__init__(settings, prior, seed, device)
        self.round = 0
        self.rounds: Rounds = "all"  # observe sets these three
        self.tau, self.lam = LABELLED.tau, LABELLED.lam
        self._kept: Departures | None = None
        self._references: dict[str, Reference] = {}
        self._beliefs: dict[int, Tensor] = {}  # by client: how much more it believes in each target, [T]
        self.compares_clients = self.settings.reference in ("auto", "others")
        needed = {"server": "server_logits", "shadow": "shadows"}.get(self.settings.reference)
        if needed is not None:
            self.needs = frozenset({"logits", needed})
        if self.settings.reference == "shadow":
            self.assumptions += (
                "The server knows the architecture and the training of clients, and trains clients of its own.",
            )

    @classmethod
    def choices(cls, clients: int, rounds: int) -> Sequence[Mapping[str, Sequence[Any]]]:
        """Reference, rounds and temperature depend on each other; the weight is chosen last."""
        references = ("others", "server") if clients > 1 else ("server", "shadow")
        early: list[Any] = list(range(1, min(rounds, 2) + 1))
        return (
            {
                "reference": references,
                "rounds": (*early, "last", "all") if rounds > 1 else ("all",),
                "tau": (1.0, 3.0, 10.0, 30.0),
            },
            {"lam": (1.0, 0.1, 0.01)},
        )

    def memory(self, scale: Scale) -> int:
        """See `Attack.memory`: every used round is J inputs, and its references are kept."""
        solved = linear_memory(
            scale.sensitive, self._used(scale.rounds) * scale.classes, scale.targets, scale.image
        )
        return super().memory(scale) + solved + scale.rounds * scale.outputs

    def work(self, scale: Scale, rounds: Sequence[int]) -> Sequence[Work]:
        """See `Attack.work`: a regression for each client after every round, on all that was used up to it."""
        widths = [self._used(t) * scale.classes for t in rounds for _ in range(scale.clients)]
        found = [
            rehearsal.solving(scale.sensitive, widths, scale.targets, self.device),
            rehearsal.combining(scale, self.device, len(widths)),
        ]
        eq11 = self.settings.choice == "eq11"
        return [*found, rehearsal.choosing(scale, self.settings.beta, len(rounds))] if eq11 else found

    def _used(self, observed: int) -> int:
        """How many rounds stand side by side once so many were observed."""
        wanted = self.settings.rounds
        if wanted in (None, "all"):
            return observed
        return max(1, sum(t <= observed for t in wanted)) if isinstance(wanted, list) else 1

    def check_clients(self, clients: int) -> None:
        super().check_clients(clients)
        if self.settings.reference == "others" and clients < 2:
            raise UserError(
                'The reference "others" needs a second client; use reference=server, or reference=shadow.'
            )

    def check(self, view: ServerView) -> None:
        super().check(view)
        wanted = self._kind(view)
        if wanted == "server" and "server_logits" not in view.provides:
            raise UserError(
                "With one client this attack needs the server's own outputs on the public set; the transcript has none."
            )

    def observe(self, view: ServerView, round: int) -> None:
        self.round = round
        s, usual = self.settings, self._usual(view)
        self.rounds = usual.rounds if s.rounds is None else s.rounds
        self.tau, self.lam = s.tau or usual.tau, s.lam or usual.lam
        used = {"reference": self._kind(view), "rounds": self.rounds, "tau": self.tau, "lambda": self.lam}
        self.trace.choices["used"] = used

    def reconstruct_client(self, view: ServerView, client: int) -> Tensor | None:
        known = view.knowledge
        targets, shape = known.target_labels, known.public.images.shape[1:]
        found = self._gaps(view, client, self._kind(view))
        self.listener(self.round, client, 1, float("nan"))
        if not found:
            return None
        self._believe(view, client)
        rows, z = side_by_side([found[t] for t in sorted(found)])
        wanted = torch.nn.functional.one_hot(targets, known.num_classes).to(z).repeat(1, len(found))
        images = self._images(view, rows)
        departures = images.combined(shares(z.to(self.device), wanted.to(self.device), self.lam))
        departures = rescale(departures, self.settings.contrast * images.spread)
        return (images.mean + departures).clamp(0, 1).view(-1, *shape).cpu()

    def choose(self, images: Tensor, labels: Tensor) -> Reconstructions:
        """The client that believes most in each target, beyond what the others believe."""
        if self.settings.choice == "eq11" or not self._beliefs:
            return select(images, labels, self.settings.beta, self.unheard)
        scores = torch.full(images.shape[:2], torch.inf)
        for client, belief in self._beliefs.items():
            scores[client] = -belief
        return smallest(images, labels, scores, self.unheard)

    def _usual(self, view: ServerView) -> Fixed:
        if view.knowledge.public.labels is not None:
            return LABELLED
        return UNLABELLED if self._kind(view) == "others" else UNLABELLED_ALONE

    def _kind(self, view: ServerView) -> Literal["server", "others", "shadow", "none"]:
        if self.settings.reference != "auto":
            return self.settings.reference
        if view.clients > 1:
            return "others"
        return "none" if view.knowledge.public.labels is None else "server"

    def _gaps(self, view: ServerView, client: int, kind: str) -> dict[int, tuple[Tensor, Tensor]]:
        """Rows and gaps of the rounds that are used, by round; of the newest usable one where none of them is."""
        found = {t: self._gap(view, client, t, kind) for t in self._wanted()}
        usable = {t: gap for t, gap in found.items() if len(gap[0]) >= 2}
        for t in sorted(set(found) - set(usable)):
            self.note("rounds without rows", t, client)
        if usable:
            return usable
        for t in range(self.round, 0, -1):
            gap = found[t] if t in found else self._gap(view, client, t, kind)
            if len(gap[0]) >= 2:
                return {t: gap}
        return {}

    def _wanted(self) -> list[int]:
        """The rounds that the settings name, as far as they were observed."""
        wanted = self.rounds
        if wanted == "all":
            return list(range(1, self.round + 1))
        named = [self.round] if wanted == "last" else [wanted] if isinstance(wanted, int) else wanted
        return sorted({int(t) for t in named if int(t) <= self.round}) or [self.round]

    def _gap(self, view: ServerView, client: int, round: int, kind: str) -> tuple[Tensor, Tensor]:
        """Public rows int64 [n] of D_0, and softmax(lᵏ, τ) − reference [n, J] on them; n may be 0."""
        if kind not in self._references:
            self._references[kind] = reference_of(kind, self.tau)
        return self._references[kind].gap(view, client, round)

    def _images(self, view: ServerView, rows: Tensor) -> Departures:
        """Some public images; the last ones are kept, since most clients answer for the same rows."""
        if self._kept is None or not torch.equal(self._kept.rows, rows):
            self._kept = Departures(view.knowledge.public, rows, self.device)
        return self._kept

    def _believe(self, view: ServerView, client: int) -> None:
        """Keep how much more a client believes in each target than the others do, from the first round in which it
        answered: from then on everybody learns from everybody."""
        if client in self._beliefs:
            return
        kind = "others" if view.clients > 1 else self._kind(view)
        for t in range(1, self.round + 1):
            rows, gap = self._gap(view, client, t, kind)
            if len(rows) >= 2:
                self._beliefs[client] = gap.mean(0)[view.knowledge.target_labels]
                return


def side_by_side(gaps: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Several rounds' gaps as one input for each public image.

    Every round is centered by itself. An image that a round says nothing of has zeros there: neither more nor less
    belief than the average.

    Args:
        gaps: for each round rows int64 [n_t] and gaps float32 [n_t, J].

    Returns:
        rows int64 [n], ascending, of all rounds, and inputs float32 [n, rounds · J].
    """
    rows = torch.unique(torch.cat([own for own, _ in gaps]))
    width = gaps[0][1].shape[1]
    z = torch.zeros(len(rows), width * len(gaps))
    for place, (own, gap) in enumerate(gaps):
        z[torch.searchsorted(rows, own), place * width : (place + 1) * width] = gap - gap.mean(0)
    return rows, z
