"""Who is at which client: the one audit that costs nothing and that every report shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from logitleak.audits.base import Asked, Audit, create
from logitleak.seeds import derive_int
from logitleak.stages.audit_truth import Scored, Truth, judge
from logitleak.stages.knowing import as_read
from logitleak.stages.seen import parties
from logitleak.types import ServerView


def identity(views: Sequence[ServerView], truth: Truth, seed: int) -> dict[str, Any] | None:
    """What the uploads of all rounds say, judged; None where clients send models.

    Args:
        views: the transcript of every world.
        truth: who holds what.
        seed: of the attacker.
    """
    audit = create("identity", seed=derive_int(seed, "audit"))
    if audit.refusal(views[0], Asked.nothing()) is not None:
        return None
    return of_server(audit, views, truth)


def of_server(audit: Audit, views: Sequence[ServerView], truth: Truth) -> dict[str, Any]:
    """What the primary variant of an audit says to who sees every upload, and undoes its defenses, judged.

    Args:
        audit: of memberships.
        views: of every world.
        truth: who holds what.
    """
    answers = [audit.ask(as_read(view)) for view in views]
    first = next(iter(answers[0]))
    worlds = [[(parties(view), found[first])] for view, found in zip(views, answers, strict=True)]
    scored = Scored("", "server", first, audit.answer, worlds)
    return judge(scored, truth, [scored])
