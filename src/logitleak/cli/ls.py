"""The command ``logitleak ls``: what is registered, and the settings of one plug-in."""

from __future__ import annotations

import json as json_text
import textwrap
from typing import Annotated, Any

import tyro

from logitleak.cli.results import BRIEF, Flag
from logitleak.errors import UserError, did_you_mean


def ls(
    kind: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[KIND]"), BRIEF] = None,
    name: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[NAME]"), BRIEF] = None,
    /,
    json: Flag = False,
) -> dict[str, Any] | None:
    """List what is registered, with one line each; or the settings of one plug-in.

    Args:
        kind: One of scheme, attack, prior, data, partition, defense, aggregator, degradation, model, metric, tracker;
            all by default.
        name: A name of this kind, to list its settings: their types, defaults and meanings.
        json: Print one JSON object.
    """
    from logitleak import registry

    if kind is not None and kind not in registry.TABLES:
        raise UserError(f'There is no kind "{kind}".{did_you_mean(kind, registry.TABLES)}')
    if kind is not None and name is not None:
        found = _settings(registry.load(kind, name))
        summary = registry.entries(kind)[name].summary
        if json:
            return {"kind": kind, "name": name, "summary": summary, "settings": found}
        _print_settings(kind, name, summary, found)
        return None
    tables = {title: registry.entries(title) for title in registry.TABLES if kind in (None, title)}
    if json:
        return {title: {name: e.summary for name, e in table.items()} for title, table in tables.items()}
    for title, table in tables.items():
        print(title)
        width = max(12, *map(len, table))
        for name, entry in table.items():
            print(f"  {name:<{width}} {entry.summary}")
    return None


def _print_settings(kind: str, name: str, summary: str, found: list[dict[str, Any]]) -> None:
    print(f"{kind} {name}: {summary}")
    if not found:
        print("  It has no settings.")
    for setting in found:
        default = "required" if setting["required"] else f"default {_shown(setting['default'])}"
        print(f"  {setting['name']:<16} {setting['type']}, {default}")
        print(textwrap.fill(setting["description"], 115, initial_indent=_INDENT, subsequent_indent=_INDENT))


def _settings(plugin: Any) -> list[dict[str, Any]]:
    """Name, type, default and description of every setting of a plug-in's class; empty where it has none."""
    model = getattr(plugin, "Settings", None)
    if model is None:
        return []
    schema, described = model.model_json_schema(), model.described()
    required = schema.get("required", [])
    return [
        {
            "name": name,
            "type": _type(entry),
            "required": name in required,
            "default": entry.get("default"),
            "description": described.get(name, ""),
        }
        for name, entry in schema.get("properties", {}).items()
    ]


def _type(entry: dict[str, Any]) -> str:
    """A JSON schema's type in a few words, such as ``number > 0`` or ``"full" | "client"``."""
    if "anyOf" in entry:
        return " or ".join(_type(one) for one in entry["anyOf"])
    if "enum" in entry:
        return " | ".join(_shown(one) for one in entry["enum"])
    if "const" in entry:
        return _shown(entry["const"])
    if entry.get("type") == "array":
        return f"list of {_type(entry['items'])}" if entry.get("items") else "list"
    limits = [f"{sign} {entry[key]:g}" for key, sign in _LIMITS.items() if key in entry]
    return " ".join([entry.get("format") or entry.get("type", "any value"), ", ".join(limits)]).strip()


_INDENT = " " * 19
_LIMITS = {
    "exclusiveMinimum": ">",
    "minimum": ">=",
    "exclusiveMaximum": "<",
    "maximum": "<=",
    "multipleOf": "multiple of",
}


def _shown(value: Any) -> str:
    """A value as YAML and JSON write it."""
    return json_text.dumps(value, ensure_ascii=False)
