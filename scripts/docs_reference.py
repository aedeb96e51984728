"""Writes the reference pages of the site from the code, whenever the site is built (see mkdocs.yml).

A page says where by a line such as ``<!-- generated: commands -->``. Nothing that this file writes is kept in the
repository, so none of it can be out of date.
"""

from __future__ import annotations

import re
import sys
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from logitleak.strict import Strict, docstring

sys.path.insert(0, str(Path(__file__).parent))  # mkdocs loads a hook by its path

from docs_commands import write_commands
from docs_text import code, prose, sentence, table

MARK = re.compile(r"^<!-- generated: ([a-z-]+) -->$", re.MULTILINE)

# ---- types


def bounds(metadata: list[Any]) -> str:
    """What the constraints of a key say, in signs."""
    if any(isinstance(one, annotated_types.Ge) for one in metadata):
        metadata = [one for one in metadata if one != annotated_types.Gt(0)]
    signs = {
        annotated_types.Gt: " > {0.gt}",
        annotated_types.Ge: " ≥ {0.ge}",
        annotated_types.Lt: " < {0.lt}",
        annotated_types.Le: " ≤ {0.le}",
        annotated_types.MultipleOf: " a multiple of {0.multiple_of}",
        annotated_types.MinLen: " at least {0.min_length}",
    }
    found = {type(one): one for one in metadata}
    said = [sign.format(found[which]) for which, sign in signs.items() if which in found]
    return ("" if "".join(said[:1])[1:2] in (">", "<", "≥", "≤", "") else ",") + ",".join(said)


_PLAIN = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "true or false",
    Path: "path",
    Any: "anything",
    type(None): "null",
}


def kind(annotation: Any, metadata: list[Any] | None = None) -> str:
    """A type in words, as Markdown."""
    limits = bounds(metadata or [])
    origin, inner = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Strict):
        said = f"[{sections()[annotation][0]}](#{anchor(sections()[annotation][0])})"
    elif origin is typing.Annotated:
        return kind(inner[0], [*inner[1:], *(metadata or [])])
    elif origin is Literal:
        said = ", ".join(code(str(value)) for value in inner)
    elif origin in (Union, types.UnionType):
        said = " or ".join(kind(one) for one in inner)
    elif origin in (list, tuple):
        said = f"list of {kind(inner[0])}" if inner else "list"
    elif origin is dict:
        said = f"mapping of {kind(inner[0])} to {kind(inner[1])}"
    else:
        said = _PLAIN.get(annotation, getattr(annotation, "__name__", str(annotation)))
    return said + limits


def default(field: FieldInfo) -> str:
    """The default of a key, as YAML would have it."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    return _value(value)


def _value(value: Any) -> str:
    if isinstance(value, BaseModel):
        return "its defaults"
    if isinstance(value, dict) and any(isinstance(one, BaseModel) for one in value.values()):
        return code("{" + ", ".join(f"{name}: {{}}" for name in value) + "}")
    if isinstance(value, bool) or value is None:
        return code({True: "true", False: "false", None: "null"}[value])
    if isinstance(value, list | tuple):
        return code("[" + ", ".join(map(str, value)) + "]")
    return code(str(value) if value != "" else '""')


def settings_table(model: type[Strict], also: type[Strict] | None = None) -> str:
    """A line for every key of a model: type, default, and what its docstring says of it, or else that of another."""
    said = (also.described() if also is not None else {}) | model.described()
    rows = [
        [
            code(name),
            kind(field.annotation, field.metadata),
            default(field),
            prose(sentence(said.get(name, ""))),
        ]
        for name, field in model.model_fields.items()
    ]
    if not any(row[-1] for row in rows):
        return table(["key", "type", "default"], [row[:-1] for row in rows])
    return table(["key", "type", "default", "meaning"], rows)


# ---- configuration


def sections() -> dict[type[Strict], tuple[str, str]]:
    """Every section of what a user may write: how a reader finds it, and where it stands."""
    from logitleak.config import (
        AggregationConfig,
        AttackConfig,
        Config,
        DataConfig,
        DefenseConfig,
        FederationConfig,
        GameConfig,
    )
    from logitleak.config.recorded import Recorded, RecordedConfig
    from logitleak.sweep.config import Show, Sweep

    return {
        Config: ("run", "the top of a run's file"),
        DataConfig: ("data", "`data` of a run"),
        FederationConfig: ("federation", "`federation` of a run"),
        AggregationConfig: ("aggregation", "`federation.aggregation`"),
        GameConfig: ("game", "`game` of a run"),
        DefenseConfig: ("defense", "each entry of `defenses`"),
        AttackConfig: ("attack", "each entry of `attacks`"),
        RecordedConfig: ("recorded run", "the top of the file that an import writes"),
        Recorded: ("recorded", "`recorded` of that file"),
        Sweep: ("sweep", "the top of a sweep's file"),
        Show: ("show", "each entry of a sweep's `show`"),
    }


def anchor(title: str) -> str:
    """Where a section's heading is."""
    return "section-" + title.replace(" ", "-")


def write_configuration() -> Iterator[str]:
    """For every section its keys."""
    from logitleak.config import Config
    from logitleak.config.recorded import RecordedConfig

    for model, (title, place) in sections().items():
        yield f"## {title} {{#{anchor(title)}}}\n"
        yield prose(docstring(model.__doc__)[0]) + f" This is {place}.\n"
        yield settings_table(model, Config if model is RecordedConfig else None) + "\n"


# ---- plug-ins


_KINDS = {
    "scheme": ("Schemes", "Chosen by `federation.scheme`, with `federation.settings`"),
    "attack": ("Attacks", "Chosen by `attacks.NAME.attack`, with `attacks.NAME.settings`"),
    "audit": ("Audits", "All are asked by `logitleak audit`"),
    "prior": ("Priors", "Chosen by `attacks.NAME.prior`, with `attacks.NAME.prior_settings`"),
    "data": ("Data sources", "Chosen by `data.source`, with `data.settings`"),
    "partition": ("Partitions", "Chosen by `data.partition`, with `data.partition_settings`"),
    "defense": ("Defenses", "Chosen by `defenses`, a list of names with `settings` and `clients`"),
    "aggregator": (
        "Aggregators",
        "Chosen by `federation.aggregation`, a name or `kind` and `settings`",
    ),
    "degradation": ("Degradations", "Chosen by `data.degradation`, with `data.degradation_settings`"),
    "model": ("Models", "Chosen by `federation.models` and `federation.server_model`"),
    "metric": ("Image metrics", "Computed for every rebuilt image"),
    "tracker": ("Trackers", "Chosen by `logitleak export-metrics --to`"),
}


def write_plugins() -> Iterator[str]:
    """For every registered plug-in what it is, and its settings."""
    from logitleak import registry

    for group, entries in registry.TABLES.items():
        title, place = _KINDS[group]
        yield f"## {title} {{#{group}}}\n\n{place}.\n"
        for name, entry in entries.items():
            plugin = entry.load()
            yield f"### {name} {{#{group}-{name}}}\n\n**{prose(entry.summary)}**\n"
            yield "\n\n".join(prose(one) for one in docstring(plugin.__doc__)[0].split("\n\n")) + "\n"
            model = getattr(plugin, "Settings", None)
            if model is None or not model.model_fields:
                yield "It has no settings.\n"
                continue
            yield prose(sentence(docstring(model.__doc__)[0])) + "\n"
            yield settings_table(model) + "\n"


# ---- the site


_WRITERS: dict[str, Callable[[], Iterator[str]]] = {
    "commands": write_commands,
    "configuration": write_configuration,
    "plug-ins": write_plugins,
}


def generated(markdown: str) -> str:
    """A page with what its marks ask for."""
    return MARK.sub(lambda mark: "\n".join(_WRITERS[mark[1]]()), markdown)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """What mkdocs calls for every page."""
    return generated(markdown)


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """What mkdocs calls for every finished page: none may load anything from elsewhere."""
    elsewhere = r'=\s*"?(?:https?:)?//'
    loads = rf"<(?:script|img|iframe|source)\b[^>]*\bsrc{elsewhere}|<link\b[^>]*\brel=\"?(?:stylesheet|preconnect|icon)"
    loads += rf"[^>]*\bhref{elsewhere}"
    if found := re.search(loads, output):
        raise ValueError(f"{page.file.src_uri} loads something from another host: {found[0]}")
    return output
