"""Overrides: ``section.key=value`` on top of what a YAML file says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from logitleak import registry
from logitleak.config.sections import AttackConfig, DataConfig, FederationConfig, GameConfig, Section
from logitleak.errors import UserError
from logitleak.files import yaml_text

_SECTIONS: dict[str, type[Section]] = {"data": DataConfig, "federation": FederationConfig, "game": GameConfig}


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


def places_of(path: Sequence[str], attacks: Mapping[str, Any] | None = None) -> list[str]:
    """Where a setting belongs: ``targets`` to ``data.targets``, ``tau`` to the settings of an attack.

    Args:
        path: what was given, by its parts.
        attacks: entries of a configuration; by default every registered attack counts, the default one first.

    Returns:
        dotted paths; none where nothing has a setting of this name.
    """
    name = path[-1]
    found = [f"{section}.{name}" for section, model in _SECTIONS.items() if name in model.model_fields]
    if ".".join(path) in found:
        return [".".join(path)]
    if found and path[0] != "attacks":
        return found
    if attacks is None:
        attacks = {one: {} for one in sorted(registry.names("attack"), key=lambda one: one != "ridge")}
    if path[0] == "attacks" and len(path) > 2:
        attacks = {path[1]: attacks.get(path[1])}
    found = []
    for title, entry in attacks.items():
        attack = entry.get("attack", title) if isinstance(entry, dict) else title
        if name in AttackConfig.model_fields and len(path) == 1:
            found.append(f"attacks.{title}.{name}")
        elif name in registry.setting_names("attack", attack):
            found.append(f"attacks.{title}.settings.{name}")
    return found
