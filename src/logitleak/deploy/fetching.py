"""Fetching what clients answered. Where fetching itself fails, that is the network's fault and no client's: it is tried
again, and what is then said of the answer is just that."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import Generic, NamedTuple, TypeVar

from logitleak.types import Absence

log = logging.getLogger(__name__)

Reply = TypeVar("Reply")

TRIES = 5
"""How often an answer is fetched before it is given up."""

DELAY = 1.0
"""Seconds from the first try to the second; twice as many to the third, and so on: 15 s in all."""


class _Trouble(NamedTuple):
    """How often fetching an answer has failed in a row, when it is tried again, and why it failed last."""

    failures: int
    again: float
    why: str


class Fetcher(Generic[Reply]):
    """Fetches the answers of one exchange.

    Args:
        pull: from the number of a message to the answers that have come back to it, one or none.
        clock: the time in seconds.
    """

    def __init__(
        self, pull: Callable[[str], Iterable[Reply]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._pull = pull
        self._clock = clock
        self._troubles: dict[str, _Trouble] = {}  # of messages whose last try failed

    def fetch(self, message: str) -> Reply | Absence | None:
        """The answer to a message; None while there is none, or while it is not yet tried again."""
        trouble = self._troubles.get(message)
        if trouble is not None and self._clock() < trouble.again:
            return None
        try:
            replies = list(self._pull(message))
        except Exception as error:  # whatever the transport raises
            return self._failed(message, 1 if trouble is None else trouble.failures + 1, error)
        self._troubles.pop(message, None)
        return replies[0] if replies else None

    def trying(self, message: str) -> bool:
        """Whether the last try failed, and there will be another: an answer may have come back."""
        return message in self._troubles

    def late(self, message: str, seconds: float) -> Absence:
        """Why there is no answer to a message, now that the time is up."""
        if message in self._troubles:
            why = self._troubles[message].why
            return Absence(f"its answer could not be fetched within {seconds:g} s ({why})")
        return Absence(f"did not answer within {seconds:g} s")

    def _failed(self, message: str, failures: int, error: Exception) -> Absence | None:
        why = type(error).__name__
        log.warning("an answer could not be fetched, try %d of %d: %s", failures, TRIES, why)
        again = self._clock() + DELAY * 2 ** (failures - 1)
        self._troubles[message] = _Trouble(failures, again, why)
        if failures == TRIES:
            return Absence(f"its answer could not be fetched in {TRIES} tries ({why})")
        return None
