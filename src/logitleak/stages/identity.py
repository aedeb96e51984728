"""Who is at which client, for every run: the one audit that costs nothing and that every report shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from logitleak.audits.base import Asked, create
from logitleak.seeds import derive_int
from logitleak.stages.audit_truth import Scored, Truth, judge
from logitleak.wire.transcript import Transcript


def identity(views: Sequence[Transcript], truth: Truth, seed: int) -> dict[str, Any] | None:
    """What the uploads of all rounds say, judged; None where clients send models, or nobody answered.

    Args:
        views: the transcript of every world.
        truth: who holds what.
        seed: of the attacker.
    """
    audit = create("identity", seed=derive_int(seed, "audit"))
    if audit.refusal(views[0], Asked.nothing()) is not None:
        return None
    answers = [audit.ask(view) for view in views]
    first = next(iter(answers[0]))
    worlds = [[(range(view.clients), True, found[first])] for view, found in zip(views, answers, strict=True)]
    scored = Scored("identity", "server", first, audit.answer, worlds)
    return judge(scored, truth, scored)
