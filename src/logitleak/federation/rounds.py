"""The round loop: one for simulations, for deployments and for tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from torch import Tensor

from logitleak.schemes.base import Channel, Scheme, Server


class Record(Protocol):
    """Who writes down which rounds are whole, for example a transcript on disk."""

    def write_own(self, round: int, logits: Tensor) -> None:
        """The server's own outputs after a round."""

    def write_held(self, round: int, tensors: Mapping[str, Tensor]) -> None:
        """What a participant that attacks holds after a round; see `Scheme.held`."""

    def commit(self, round: int) -> None:
        """Everything up to this round is written."""


def play(
    scheme: Scheme, channel: Channel, server: Server, record: Record, rounds: int, done: int = -1
) -> Iterator[int]:
    """Serve all rounds that are not finished yet.

    Args:
        scheme: what is played.
        channel: how the clients are reached.
        server: the server's own model.
        record: is told of every round before the caller is.
        rounds: T.
        done: the last round that was finished before, 0 where that is what comes before round 1; −1 for none.

    Yields:
        the number of each round that is now whole, beginning with 0.
    """
    scheme.rounds = rounds
    if done < 0:
        scheme.begin(channel, server)
        record.commit(0)
        yield 0
    for round in range(max(done, 0) + 1, rounds + 1):
        scheme.serve(round, channel, server)
        record.write_own(round, server.logits())
        if held := scheme.held():
            record.write_held(round, held)
        record.commit(round)
        yield round
