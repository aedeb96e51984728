"""The page of commands, written from the parser."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from docs_text import code, prose, table


def commands() -> dict[str, Callable[..., Any]]:
    """Every command of the command line, those of groups too."""
    from logitleak.cli import command

    found: dict[str, Callable[..., Any]] = {}
    for name, function in command._COMMANDS.items():
        if name in command._GROUPS:
            found |= {f"{name} {inner}": one for inner, one in command._GROUPS[name].items()}
        else:
            found[name] = function
    return found


def write_commands() -> Iterator[str]:
    """For every command what it does, its arguments and its options."""
    import tyro

    for name, function in commands().items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            parser = tyro.extras.get_parser(
                function, config=(tyro.conf.FlagCreatePairsOff, tyro.conf.DisallowNone)
            )
        actions = [action for action in parser._actions if action.dest != "help"]
        places = [_place(action) for action in actions if not action.option_strings]
        usage = " ".join(
            [f"logitleak {name}", *places, *(["[OPTIONS]"] if len(places) < len(actions) else [])]
        )
        yield f"## {name}\n\n```sh\n{usage}\n```\n"
        for paragraph in (parser.description or "").split("\n\n"):
            yield prose(paragraph) + "\n"
        rows = []
        for action in actions:
            said, given = _without_default(action.help or "")
            metavar = str(action.metavar) if action.metavar and action.option_strings else ""
            metavar = re.sub(r"\[(\w+) \[\1 \.\.\.\]\]", r"\1", metavar)
            more = " ..." if action.nargs == "*" else ""
            called = " ".join(filter(None, [*action.option_strings, metavar])) or _place(action)
            rows.append([code(called + more), given, prose(said)])
        if rows:
            yield table(["argument", "default", "meaning"], rows) + "\n"


def _place(argument: Any) -> str:
    """How an argument without a name is shown: in brackets where it may be left out."""
    name = argument.dest.replace("_", "-").upper()
    return f"[{name}]" if argument.nargs == "?" else name


def _without_default(text: str) -> tuple[str, str]:
    """The help of an option, and its default by itself."""
    found = re.search(r"\s*\((required|default: (.*?))\)\s*$", text, re.DOTALL)
    if found is None:
        return text, ""
    given = (
        "required" if found[1] == "required" else {"None": "", "False": "off"}.get(found[2], code(found[2]))
    )
    return text[: found.start()], given
