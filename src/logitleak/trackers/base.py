"""What a tracker is, and how its package is asked for."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from logitleak.errors import UserError, to_install
from logitleak.trackers.record import Record


class Tracker(ABC):
    """Writes records into a folder that an experiment tracker reads.

    Attributes:
        package: what is imported, and the name of the extra that brings it.
    """

    package: ClassVar[str]

    @abstractmethod
    def write(self, records: Sequence[Record], out: Path, project: str) -> str:
        """Write the records.

        Args:
            records: one becomes one run of the tracker.
            out: the folder; what is in it already stays.
            project: what the tracker files them under.

        Returns:
            the command that shows them, or sends them to where the user wants them.
        """

    def load(self) -> Any:
        """The tracker's package.

        Raises:
            UserError: it is not installed.
        """
        try:
            return importlib.import_module(self.package)
        except ImportError as error:
            raise UserError(
                f"{self.package} cannot be imported ({error}); {to_install(self.package)}."
            ) from None
