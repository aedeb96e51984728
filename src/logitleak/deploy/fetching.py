"""Fetching what clients answered. Where fetching itself fails, that is the network's fault and no client's: it is tried
again, and what is then said of the answer is just that."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from logitleak.types import Absence

log = logging.getLogger(__name__)

Reply = TypeVar("Reply")

TRIES = 5
"""How often an answer is fetched before it is given up."""

DELAY = 1.0
"""Seconds from the first try to the second; twice as many to the third, and so on: 15 s in all."""


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
        self._failures: dict[str, int] = {}  # of messages whose last try failed
        self._again: dict[str, float] = {}  # when they are tried again
        self._why: dict[str, str] = {}

    def fetch(self, message: str) -> Reply | Absence | None:
        """The answer to a message; None while there is none, or while it is not yet tried again."""
        if self._clock() < self._again.get(message, 0.0):
            return None
        try:
            replies = list(self._pull(message))
        except Exception as error:  # whatever the transport raises
            return self._failed(message, error)
        for table in (self._failures, self._again, self._why):
            table.pop(message, None)
        return replies[0] if replies else None

    def trying(self, message: str) -> bool:
        """Whether the last try failed, and there will be another: an answer may have come back."""
        return message in self._why

    def late(self, message: str, seconds: float) -> Absence:
        """Why there is no answer to a message, now that the time is up."""
        if message in self._why:
            return Absence(f"its answer could not be fetched within {seconds:g} s ({self._why[message]})")
        return Absence(f"did not answer within {seconds:g} s")

    def _failed(self, message: str, error: Exception) -> Absence | None:
        failures = self._failures.get(message, 0) + 1
        self._failures[message], self._why[message] = failures, type(error).__name__
        log.warning("an answer could not be fetched, try %d of %d: %s", failures, TRIES, type(error).__name__)
        if failures == TRIES:
            return Absence(f"its answer could not be fetched in {TRIES} tries ({self._why[message]})")
        self._again[message] = self._clock() + DELAY * 2 ** (failures - 1)
        return None
