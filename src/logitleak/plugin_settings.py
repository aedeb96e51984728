"""Settings of plug-ins, parsed by their own models; and what is wrong with values of any model, in one line."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from logitleak.errors import UserError, did_you_mean


def settings(what: str, model: type[BaseModel], values: Mapping[str, Any]) -> Any:
    """Parse a plug-in's settings.

    Args:
        what: how to call it in an error, for example ``"attack pli"``.
        model: the plug-in's ``Settings``.
        values: what the user gave.

    Raises:
        UserError: an unknown key (with a suggestion) or a value out of range; one line.
    """
    for key, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f'{what}: "{key}" must be a finite number (given: {value}).')
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise UserError(describe(error, what, model)) from None


def describe(
    error: ValidationError,
    what: str,
    model: type[BaseModel],
    places: Callable[[list[str]], list[str]] = lambda path: [],
) -> str:
    """The first problem of a pydantic validation, as one line that says what to do.

    Args:
        error: what pydantic raised.
        what: how to call what was validated.
        model: what it was validated as.
        places: where else a setting may belong that is unknown where it was given, from its path.
    """
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    if first["type"] == "extra_forbidden":
        elsewhere = " or ".join(f'"{place}"' for place in places(path))
        meant = did_you_mean(path[-1], set(_fields_at(model, path[:-1])))
        return f'{what} has no setting "{".".join(path)}".{f" Did you mean {elsewhere}?" if elsewhere else meant}'
    message = first["msg"].removeprefix("Value error, ").rstrip(".")
    where = f': "{".".join(path)}"' if path else ""
    given = "" if first["type"] in ("missing", "value_error") else f" (given: {first['input']!r})"
    return f"{what}{where}: {message}{given}."


def _fields_at(model: type[BaseModel], path: list[str]) -> list[str]:
    """Field names of the model nested at this path, also where it is a value of a mapping."""
    nested: Any = model
    for part in path:
        if get_args(nested)[:1] == (str,):
            nested = get_args(nested)[1]
        elif _is_model(nested) and part in nested.model_fields:
            nested = nested.model_fields[part].annotation
        else:
            return []
    return list(nested.model_fields) if _is_model(nested) else []


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
