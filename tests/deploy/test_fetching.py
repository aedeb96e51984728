"""Answers that cannot be fetched: that is no client's fault, it is tried again, and the record says what happened."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from logitleak.deploy.fetching import DELAY, TRIES, Fetcher
from logitleak.types import Absence


class Grid:
    """Fails so many times, or for ever, and then has an answer, or not."""

    def __init__(self, failures: float, answer: str | None = "answer") -> None:
        self.left, self.answer = failures, answer
        self.asked: list[float] = []
        self.now = 100.0

    def pull(self, message: str) -> Iterable[str]:
        self.asked.append(self.now - 100)
        if self.left > 0:
            self.left -= 1
            raise ConnectionError("secret/path")
        return [] if self.answer is None else [self.answer]

    def poll(self, seconds: float) -> str | Absence | None:
        """Ask four times a second, as the server does, until something comes back."""
        fetcher = Fetcher(self.pull, lambda: self.now)
        end = self.now + seconds
        while self.now < end:
            found = fetcher.fetch("7")
            if found is not None:
                return found
            self.now += 0.25
        return fetcher.late("7", seconds)


@pytest.mark.parametrize("failures", [0, 1, TRIES - 1])
def test_what_fails_for_a_while_is_fetched(failures: int) -> None:
    grid = Grid(failures)
    assert grid.poll(60) == "answer"
    assert grid.asked == [DELAY * (2**n - 1) for n in range(failures + 1)]


def test_it_is_given_up_and_nobody_is_blamed() -> None:
    grid = Grid(float("inf"))
    assert grid.poll(60) == Absence(f"its answer could not be fetched in {TRIES} tries (ConnectionError)")
    assert grid.asked[-1] == DELAY * (2 ** (TRIES - 1) - 1)


def test_the_time_is_up_first() -> None:
    assert Grid(float("inf")).poll(2) == Absence(
        "its answer could not be fetched within 2 s (ConnectionError)"
    )
    assert Grid(0, None).poll(2) == Absence("did not answer within 2 s")
    assert Grid(1, None).poll(5) == Absence("did not answer within 5 s")  # fetching went well again


def test_tries_are_counted_anew_and_for_each_answer() -> None:
    now, failing = 0.0, True

    def pull(message: str) -> list[str]:
        if failing or message == "bad":
            raise OSError
        return []

    fetcher = Fetcher(pull, lambda: now)
    for _ in range(3):
        for _ in range(TRIES - 1):
            assert fetcher.fetch("good") is None
            now += 100
        failing = False
        assert fetcher.fetch("good") is None
        failing = True
    assert fetcher.fetch("bad") is None
    assert fetcher.trying("bad")
    failing = False
    assert fetcher.fetch("good") is None
    assert not fetcher.trying("good")
