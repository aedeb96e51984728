"""``timings.json``: what a run took, which no two runs have alike."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, ValidationInfo, model_validator

from logitleak.formats.parts import READING, Record

STAGE = "_seconds"
"""What the keys of stages end in."""


class TimingsFile(Record):
    """What a run took so far. Beside these keys there is one for each stage that was finished, ``STAGE_seconds``: the
    seconds that it took, all commands together. Stages are ``federation``, ``attack_NAME`` and ``evaluation``.

    Attributes:
        peak_memory_mib: the most memory that a process held which worked on the run, in MiB.
        threads: of the last stage.
    """

    model_config = ConfigDict(
        extra="allow",
        frozen=True,
        allow_inf_nan=False,
        json_schema_extra={"additionalProperties": {"type": "number"}},
    )
    remedy = "remove it, which loses nothing but times"

    __pydantic_extra__: dict[str, float]

    peak_memory_mib: int
    threads: int

    @model_validator(mode="before")
    @classmethod
    def _passed_over(cls, values: Any, info: ValidationInfo) -> Any:
        """What is no stage's is a key of another version."""
        if info.context is not READING or not isinstance(values, dict):
            return values
        return {key: value for key, value in values.items() if key in cls.model_fields or key.endswith(STAGE)}
