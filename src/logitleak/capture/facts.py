"""What a running federation says of itself: as plain values, and looked at as an import will look at it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from pydantic import ValidationError

from logitleak.capture.defended import check_defenses
from logitleak.capture.description import Description, problems
from logitleak.capture.findings import Findings
from logitleak.capture.targets import check_targets
from logitleak.errors import UserError
from logitleak.files.given import whole_number


def plain(value: Any, what: str) -> Any:
    """A value as YAML can hold it, without anything that is shared: text, numbers, lists and tables, of numpy too.

    Args:
        value: the value.
        what: how an error calls it.

    Raises:
        UserError: it is something else.
    """
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if value is None or type(value) in (bool, int, float):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Mapping):
        return {plain(key, what): plain(one, f"{what}.{key}") for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one, f"{what}.{place}") for place, one in enumerate(value)]
    raise UserError(f"{what} is {value!r:.100}; text, numbers, lists and dicts of such can be recorded.")


def given_targets(targets: Any) -> list[int]:
    """Targets of any library as whole numbers of Python.

    Raises:
        UserError: one is something else.
    """
    listed = targets.tolist() if hasattr(targets, "tolist") else targets
    if isinstance(listed, str) or not isinstance(listed, Iterable):
        raise UserError(f"targets are a list of whole numbers, not {targets!r:.40}.")
    return [whole_number(one, "A target") for one in listed]


def check_form(described: Mapping[str, Any]) -> Description:
    """The description in some values.

    Raises:
        UserError: there is none.
    """
    try:
        return Description.model_validate(described)
    except ValidationError as error:
        raise UserError(f"This cannot be a capture: {problems(error)[0]}") from None


def check_facts(described: Mapping[str, Any]) -> None:
    """Raise a `UserError` for the first thing in a description at which an import would stop: its form, its targets,
    their owners, the game, or settings of defenses."""
    description, findings = check_form(described), Findings()
    check_targets(description, findings)
    check_defenses(description, findings)
    for found in findings.kept:
        if found.level == "error":
            raise UserError(f"This cannot be a capture: {found.where}: {found.what}")


def owners_of(private: Any) -> set[str]:
    """The clients that hold targets, by what only those know who own the data, whatever its form."""
    owners = private.get("owners") if isinstance(private, dict) else None
    return (
        {str(one) for one in owners.values() if isinstance(one, int | str)}
        if isinstance(owners, dict)
        else set()
    )
