"""Overrides: ``section.key=value`` on top of what a YAML file says."""

from __future__ import annotations

from typing import Any

from logitleak.errors import UserError
from logitleak.files import yaml_text


def parse_override(override: str) -> tuple[str, Any]:
    """``section.key=value`` as the path and the YAML value.

    Raises:
        UserError: it is none.
    """
    path, equals, text = override.partition("=")
    if not equals or not path:
        raise UserError(f'"{override}" is no override; write section.key=value, for example data.targets=20.')
    try:
        return path, yaml_text.parse(text)
    except UserError as error:
        raise UserError(f'The value of "{path}" {error}.') from None


def set_value(values: dict[str, Any], path: str, value: Any) -> None:
    """Set what a dotted path names in a nested mapping, in place; what is missing on the way is made.

    Raises:
        UserError: a part of the path holds a plain value.
    """
    *parents, last = path.split(".")
    at = values
    for part in parents:
        if isinstance(at.get(part), list) and part == "attacks":
            at[part] = by_name(at[part])
        nested = at.setdefault(part, {})
        if nested is None:
            nested = at[part] = {}
        if not isinstance(nested, dict):
            raise UserError(f'"{path}" cannot be set: "{part}" holds a plain value.')
        at = nested
    at[last] = value


def by_name(given: list[Any]) -> dict[str, Any]:
    """A list of attacks as a mapping of names to what is set for them: nothing."""
    return {name if isinstance(name, str) else repr(name): {} for name in given}
