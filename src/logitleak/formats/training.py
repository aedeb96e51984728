"""``sealed/training.json``: how the models of a world trained."""

from __future__ import annotations

from logitleak.formats.parts import Confidence, Loss, Record, Share, Skipped


class RoundUtility(Record):
    """Accuracy on held-out images after a round.

    Attributes:
        round: 0 before round 1.
        server: null where nothing is held out.
        clients: one share for each client.
    """

    round: int
    server: Share | None
    clients: list[Share | None]


class TrainingFile(Record):
    """What is to be known of a world's training.

    Attributes:
        title, synthetic, skipped: of the data.
        losses: of every epoch.
        utility: after every round.
        confidence: entropies at the end; null of a deployed federation, whose models are the clients' own.
    """

    remedy = "run the federation again with `logitleak run`"

    title: str
    synthetic: bool
    skipped: list[Skipped]
    losses: list[Loss]
    utility: list[RoundUtility]
    confidence: Confidence | None
