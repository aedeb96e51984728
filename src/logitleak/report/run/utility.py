"""What the federation is worth to those who take part: accuracy of its models, and what it buys over being alone."""

from __future__ import annotations

from typing import Any

from logitleak.report.parts.games import gap, share
from logitleak.report.parts.load import Run, table
from logitleak.report.parts.svg import CLIENTS, SERVER
from logitleak.report.parts.words import in_brackets, percent, points, span
from logitleak.report.run import leak_page


def of_models(run: Run) -> dict[str, Any] | None:
    """Accuracy of every model on held-out images, after the last round."""
    found = table(run.metrics, "utility")
    models = [("server", leak_page.shown_share(found.get("server"), None, SERVER))]
    clients = found.get("clients")
    models += [
        (f"client {k}", leak_page.shown_share(share, None, CLIENTS)) for k, share in enumerate(clients or [])
    ]
    if not any(share for _, share in models):
        return None
    return {"held_out": found.get("held_out"), "models": models}


def baselines(run: Run) -> dict[str, Any] | None:
    """What federating buys: clients alone and federated, and one model on everybody's images."""
    found = table(table(run.metrics, "utility"), "baselines")
    alone, federated = table(found, "alone"), table(found, "federated")
    gain = gap(table(found, "gain"), "difference")
    if not (alone and federated and gain and share(found, "central")):
        return None

    def column(side: dict[str, Any], which: str) -> list[str]:
        return [percent(one["value"]) if one else "–" for one in side.get(which) or []]

    columns = [column(side, which) for which in ("all", "own") for side in (alone, federated)]
    return {
        "sentence": (
            "Accuracy on held-out images of the first world: over all classes, and over those that a client holds. "
            f"On average a client gains {points(gain.value)} points by federating{in_brackets(span(gain))}."
        ),
        "clients": list(zip(*columns, strict=False)),
        "central": percent(found["central"]["value"]),
    }
