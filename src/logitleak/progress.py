"""What a run shows while it works: one bar for each stage on a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import TaskID


class Progress(Protocol):
    """Where stages report to."""

    def stage(self, title: str, total: int) -> None:
        """A stage begins; ``total`` is how often `advance` will be called."""

    def advance(self, text: str = "", steps: int = 1) -> None:
        """Some work is done; ``text`` says what."""

    def note(self, text: str) -> None:
        """Something worth a line of its own."""


class Quiet:
    """Shows nothing."""

    def stage(self, title: str, total: int) -> None:
        return None

    def advance(self, text: str = "", steps: int = 1) -> None:
        return None

    def note(self, text: str) -> None:
        return None


class Console:
    """Shows stage, what is being done, share, elapsed and remaining time, on standard error.

    Use it as a context manager.
    """

    def __init__(self) -> None:
        from rich.console import Console as RichConsole
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        self._console = RichConsole(stderr=True)
        self._bars = Bars(
            TextColumn("[bold]{task.description:<22}"),
            BarColumn(bar_width=28),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[text]}"),
            console=self._console,
            refresh_per_second=4,
            disable=not self._console.is_terminal,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Console:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._finish()
        self._bars.stop()

    def stage(self, title: str, total: int) -> None:
        self._finish()
        if not self._console.is_terminal:
            print(f"{title} ...", file=sys.stderr, flush=True)
        self._task = self._bars.add_task(title, total=max(1, total), text="")

    def advance(self, text: str = "", steps: int = 1) -> None:
        if self._task is not None:
            self._bars.advance(self._task, steps)
            if text:
                self._bars.update(self._task, text=text)

    def note(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)  # a path stays in one piece

    def _finish(self) -> None:
        if self._task is not None:
            task = next(t for t in self._bars.tasks if t.id == self._task)
            self._bars.update(self._task, completed=task.total, text="")
            self._task = None


def progress_of(quiet: bool, stack: ExitStack) -> Progress:
    """What a command reports to; a bar is closed with the stack."""
    return Quiet() if quiet else stack.enter_context(Console())
