"""A file of a run, read by somebody who did not write it: checked against what it is declared to hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from logitleak.errors import UserError
from logitleak.formats.parts import FORMAT, Record
from logitleak.text import printable


def read_file(path: Path, model: type[Record]) -> dict[str, Any]:
    """The values of a file, by the names that they have in it. What another version of the same format left out is
    there too, as `Record` says.

    Args:
        path: the file.
        model: one of `logitleak.formats.FILES`.

    Raises:
        UserError: it is missing or damaged, or holds something else; one line with file, key and what helps.
    """
    found = read_object(path)
    if "format" in model.model_fields and found.get("format", FORMAT) != FORMAT:
        raise UserError(
            f"{path} has format {printable(repr(found['format']))}; this version reads format {FORMAT}. Read it with "
            f"the version that wrote it, or {model.remedy}."
        )
    try:
        return model.read(json.dumps(found))
    except ValidationError as error:
        raise UserError(f"{path}: {_first(error)}. It is damaged or foreign: {model.remedy}.") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read: {reason(error)}. Mend it, or {model.remedy}.") from None


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        UserError: it is missing, cannot be read, or holds something else.
    """
    try:
        found = parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read: {reason(error)}") from None
    if not isinstance(found, dict):
        raise UserError(f"{path} does not hold a JSON object.")
    return found


def parse_json(text: str) -> Any:
    """JSON text; NaN and Infinity are no JSON and mean "no number" to a reader, so they become null, once."""
    return json.loads(text, parse_constant=lambda _: None)


def reason(problem: Exception) -> str:
    """Why something cannot be read, in one line."""
    return printable(str(problem).splitlines()[0]) if str(problem) else type(problem).__name__


def _first(error: ValidationError) -> str:
    """The first thing that is wrong: where, and what."""
    first = error.errors(include_url=False)[0]
    where = printable(".".join(map(str, first["loc"])))
    if first["type"] == "missing":
        return f'"{where}" is missing'
    said = first["msg"].removeprefix("Value error, ").rstrip(".")
    given = printable(repr(first["input"]))
    return (
        f'"{where}": {said[:1].lower()}{said[1:]} (given: {given if len(given) <= 60 else given[:60] + "…"})'
    )
