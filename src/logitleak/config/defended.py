"""The defenses of a configuration, as users write them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from logitleak import registry
from logitleak.config.sections import DefenseConfig
from logitleak.errors import UserError


def defense_entries(given: Any) -> Any:
    """What stands under ``defenses``, as a list of mappings: an entry may be a name alone, and so may all of it.

    Raises:
        UserError: it is no list.
    """
    if given is None:
        return []
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, list):
        raise UserError(
            f'"defenses" must be a list such as [round, {{name: gaussian, settings: {{sigma: 2}}}}], not {given!r}.'
        )
    return [{"name": entry} if isinstance(entry, str) else entry for entry in given]


def check_defenses(defenses: Sequence[DefenseConfig]) -> None:
    """Raise a `UserError` where a defense is not registered."""
    for defense in defenses:
        registry.check("defense", defense.name)
