"""What the page says of the exchange itself: who took part, who was missing, and how many bytes came."""

from __future__ import annotations

from collections import Counter
from typing import Any

from logitleak.formats.federation import NOT_DRAWN
from logitleak.report.parts.load import Run, rows, table
from logitleak.report.parts.words import size


def drawn(run: Run) -> str | None:
    """How many clients took part in a round, where some were drawn for each."""
    missing = rows(table(run.metrics, "federation"), "absent")
    idle = {row.get("client") for row in missing if row.get("round") == 1 and row.get("reason") == NOT_DRAWN}
    clients = run.data.get("clients")
    return f"{clients - len(idle)} of {clients}, drawn anew" if idle and isinstance(clients, int) else None


def received(run: Run) -> dict[str, Any] | None:
    """Bytes that the server received: a row for each round, a column for each client. What it sent, and what the
    clients of FedAvg would have sent in as many rounds, are for comparison."""
    federation = table(run.metrics, "federation")
    entries = [row for row in rows(federation, "bytes") if row.get("received") is not None]
    if not entries:
        return None
    clients = sorted({row["client"] for row in entries})
    rounds = sorted({row["round"] for row in entries})
    cells = {(row["round"], row["client"]): row["received"] for row in entries}
    lines = [(round_, [size(cells.get((round_, client))) for client in clients]) for round_ in rounds]
    totals = [size(sum(cells.get((round_, client), 0) for round_ in rounds)) for client in clients]
    sent = [row["sent"] for row in entries if isinstance(row.get("sent"), int)]
    weights = federation.get("weights")
    known = isinstance(weights, list) and len(weights) == len(clients)
    away = _rounds_away(federation)
    fedavg = [
        each * (len(rounds) - away[client]) for client, each in zip(clients, weights, strict=True)
    ] if known and weights else []  # fmt: skip
    return {
        "clients": clients,
        "lines": lines,
        "totals": totals,
        "all": size(sum(cells.values())),
        "aggregation": run.data.get("aggregation", "plain"),
        "sent": size(sum(sent)) if sent else None,
        "fedavg": [size(each) for each in fedavg],
        "fedavg_all": size(sum(fedavg)),
    }


def _rounds_away(federation: dict[str, Any]) -> Counter[Any]:
    """For how many rounds each client was not drawn."""
    missing = [row for row in rows(federation, "absent") if row.get("reason") == NOT_DRAWN]
    pairs = {(row.get("round"), row.get("client")) for row in missing}
    return Counter(client for _, client in pairs)


def absent(run: Run) -> list[dict[str, Any]]:
    """Who was missing, an entry for each round and client: in which exchanges, and why. Who was not drawn
    for a round was not meant to be there."""
    found: dict[tuple[int, int], dict[str, Any]] = {}
    for row in rows(table(run.metrics, "federation"), "absent"):
        if row.get("reason") == NOT_DRAWN:
            continue
        entry = found.setdefault(
            (row.get("round", 0), row.get("client", 0)),
            {"round": row.get("round"), "client": row.get("client"), "actions": [], "reasons": []},
        )
        entry["actions"].append(str(row.get("action")))
        if (said := str(row.get("reason"))) not in entry["reasons"]:
            entry["reasons"].append(said)
    return [found[key] for key in sorted(found)]
