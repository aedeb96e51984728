"""What completes a command line: words for every place, from the commands' signatures, which the parser reads too.

The parser could write scripts by itself. They would know nothing of the commands inside a group, whose options are
parsed apart, nor of files where an argument is one, nor of plug-ins.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

Commands = Mapping[str, Callable[..., Any]]


@dataclass(frozen=True)
class Value:
    """What may stand at one place.

    Attributes:
        words: the words that may; none where anything may, such as a file.
        several: whether any number of values may follow.
    """

    words: tuple[str, ...] = ()
    several: bool = False


@dataclass(frozen=True)
class Completed:
    """A command.

    Attributes:
        summary: one line.
        options: by their name, such as ``--out``; None for a flag, which takes no value.
        told: the first sentence on each option.
        positional: its arguments, in order.
    """

    summary: str
    options: dict[str, Value | None]
    told: dict[str, str]
    positional: tuple[Value, ...]


def places(commands: Commands, groups: Mapping[str, Commands]) -> dict[str, Completed]:
    """Every command by its words, such as ``run`` or ``deploy init``. A group's argument is one of its commands."""
    found = {}
    for name, command in commands.items():
        if name not in groups:
            found[name] = _completed(command)
            continue
        found[name] = Completed(_summary(command), {"--help": None}, {}, (Value(tuple(groups[name])),))
        found |= {f"{name} {inner}": _completed(function) for inner, function in groups[name].items()}
    return found


def _completed(command: Callable[..., Any]) -> Completed:
    hints = get_type_hints(command, include_extras=True)
    written = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", inspect.getdoc(command) or "", re.MULTILINE)
    told = {name: _first(text) for name, text in written}
    options: dict[str, Value | None] = {"--help": None}
    said, positional = {}, []
    for parameter in inspect.signature(command).parameters.values():
        value, name = _read(hints[parameter.name], parameter.name)
        if parameter.kind is parameter.POSITIONAL_ONLY:
            positional.append(value or Value())
            continue
        options[f"--{name}"] = value
        said[f"--{name}"] = told.get(parameter.name, "")
    return Completed(_summary(command), options, said, tuple(positional))


def _read(hint: Any, parameter: str) -> tuple[Value | None, str]:
    """What a parameter takes, and what it is called on the command line."""
    marks: tuple[Any, ...] = ()
    if get_origin(hint) is Annotated:
        hint, *rest = get_args(hint)
        marks = tuple(rest)
    name = next((mark.name for mark in marks if getattr(mark, "name", None)), parameter.replace("_", "-"))
    if hint is bool:
        return None, name
    kinds = [kind for kind in get_args(hint) if kind is not type(None)] or [hint]
    several = get_origin(hint) is tuple
    if get_origin(hint) is Literal or get_origin(kinds[0]) is Literal:
        return Value(tuple(get_args(hint if get_origin(hint) is Literal else kinds[0])), several), name
    stands_for = next((mark.metavar for mark in marks if getattr(mark, "metavar", None)), parameter)
    return Value(_plugins(stands_for.strip("[]").lower()) if kinds[0] is str else (), several), name


def _plugins(what: str) -> tuple[str, ...]:
    """The names that are registered of a kind, or all kinds, by what help calls them."""
    from logitleak import registry

    if what == "kind":
        return tuple(registry.TABLES)
    kind = {"source": "data"}.get(what, what)
    return tuple(registry.names(kind)) if kind in registry.TABLES else ()


def _summary(command: Callable[..., Any]) -> str:
    return _first((inspect.getdoc(command) or "").split("\n\n")[0])


def _first(text: str) -> str:
    """The first sentence, on one line."""
    return re.split(r"\. ", " ".join(text.split()))[0].rstrip(".")
