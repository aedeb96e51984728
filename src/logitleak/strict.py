"""The base of every model that a user's values are parsed into."""

from __future__ import annotations

import inspect
import re
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator


class Strict(BaseModel):
    """Frozen, without unknown keys, without infinite numbers, and no number from true or false."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_number_from_a_truth_value(cls, value: Any, info: ValidationInfo) -> Any:
        # pydantic would make 1 and 0 of them
        listed = value if isinstance(value, list | tuple) else [value]
        if any(isinstance(one, bool) for one in listed):
            meant = _kinds(cls.model_fields[str(info.field_name)].annotation)
            if bool not in meant and (int in meant or float in meant):
                raise ValueError(f"a number is meant here, not {str(value).lower()}")
        return value

    @classmethod
    def described(cls) -> dict[str, str]:
        """What the docstrings of this model, and of those that it derives from, say of each key; of a base only what
        the model does not say itself."""
        found: dict[str, str] = {}
        for owner in reversed(cls.__mro__):
            if issubclass(owner, Strict):
                found |= docstring(owner.__dict__.get("__doc__"))[1]
        for name in cls.model_fields:
            if name not in found:
                told = next((other for other, text in found.items() if f"``{name}``" in text), None)
                if told is not None:
                    found[name] = f"see ``{told}``."
                elif name.endswith("_settings"):
                    found[name] = f"settings of the ``{name.removesuffix('_settings')}``."
        return found


def docstring(written: str | None) -> tuple[str, dict[str, str]]:
    """A docstring's text before its first part, and what its part ``Attributes:`` says of each name, on one line."""
    said: list[str] = []
    found: dict[str, str] = {}
    names: list[str] = []
    where = "text"
    for line in inspect.cleandoc(written or "").splitlines():
        if re.fullmatch(r"[A-Z][A-Za-z ]*:", line):
            where = "attributes" if line == "Attributes:" else "other"
        elif where == "text":
            said.append(line)
        elif where == "attributes" and (begun := re.match(r" {4}(\w[\w, ]*): (.*)", line)):
            names = [name.strip() for name in begun[1].split(",")]
            found |= dict.fromkeys(names, begun[2])
        elif where == "attributes" and line.startswith(" "):
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return "\n".join(said).strip(), found


def _kinds(annotation: Any) -> list[Any]:
    """An annotation, and all that it is made of."""
    return [annotation, *(kind for inner in get_args(annotation) for kind in _kinds(inner))]
