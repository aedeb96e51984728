"""Recording a Flower strategy of anybody's: its replies become a capture, and the strategy does not notice."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from flwr.app import Message
from flwr.serverapp.strategy import Strategy

from logitleak.capture.writer import CaptureWriter
from logitleak.errors import UserError

log = logging.getLogger(__name__)

S = TypeVar("S", bound=Strategy)


def record(
    strategy: S,
    writer: CaptureWriter,
    outputs: str = "logits",
    rows: str | None = None,
    client: Callable[[Message], int | str] = lambda reply: reply.metadata.src_node_id,
    server: Callable[[], Any] | None = None,
) -> S:
    """Have a strategy write down what its clients send in every round of training.

    Only ``aggregate_train`` of this one strategy is watched: replies are recorded as they come, and handed on as they
    are. A reply that holds no fitting outputs is left out with a warning, as if its client had been absent, since an
    audit must not stop a federation.

    Args:
        strategy: any strategy of Flower's message API whose replies carry outputs on a public set.
        writer: where they are recorded; close it after the last round, best by ``with``.
        outputs: what the array of outputs is called in the array records of a reply.
        rows: what the array of the public rows is called that they are for; None where they are always for all.
        client: from a reply to what its client is called, the same in every round; by default its node id.
        server: gives the logits of the server's own model on all public rows, after a round was aggregated; None
            where the server has no model of its own.

    Returns:
        the same strategy.
    """
    aggregate = strategy.aggregate_train

    def watched(server_round: int, replies: Iterable[Message]) -> Any:
        kept = list(replies)
        for reply in kept:
            if reply.has_error():
                continue
            name: int | str = "?"
            try:
                name, found = client(reply), arrays(reply)
                missing = [wanted for wanted in (outputs, rows) if wanted is not None and wanted not in found]
                if missing:
                    there = ", ".join(found) or "none at all"
                    raise UserError(f'There is no array "{missing[0]}" in it, but {there}.')
                writer.upload(server_round, name, found[outputs], None if rows is None else found[rows])
            except Exception as error:  # whatever it is, the federation goes on
                log.warning("round %d: the reply of client %s is not recorded: %s", server_round, name, error)
        result = aggregate(server_round, kept)
        if server is not None:
            try:
                writer.server(server_round, server())
            except Exception as error:
                log.warning("round %d: the server's own outputs are not recorded: %s", server_round, error)
        return result

    vars(strategy)["aggregate_train"] = watched  # of this object; its class stays as it is
    return strategy


def arrays(reply: Message) -> dict[str, Any]:
    """All arrays of a reply by name, as arrays of numpy."""
    return {
        name: array.numpy() for part in reply.content.array_records.values() for name, array in part.items()
    }
