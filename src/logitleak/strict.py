"""The base of every model that a user's values are parsed into."""

from __future__ import annotations

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


def _kinds(annotation: Any) -> list[Any]:
    """An annotation, and all that it is made of."""
    return [annotation, *(kind for inner in get_args(annotation) for kind in _kinds(inner))]
