"""What several files of a run share."""

from __future__ import annotations

import json
from typing import Any, ClassVar, get_args

from pydantic import Field, ValidationInfo, model_validator

from logitleak.strict import Strict

FORMAT = 1
"""Of all files that say one. A key more is no new format; a key that means something else is."""

READING = {"reading": True}
"""The context of validators where somebody reads."""


class Record(Strict):
    """A part of a file that the tool itself writes: every key is there, and no other.

    Who reads is as strict with what it knows, and bears what other versions of the same format wrote: a key that is not
    there says null where null is allowed, or else what ``older`` says; keys that are not known are passed over.
    """

    older: ClassVar[dict[str, Any]] = {}
    """What keys meant before there were any: by name, of those that cannot be null."""

    remedy: ClassVar[str] = "make it anew"
    """Of a whole file: what helps where it is damaged."""

    @classmethod
    def checked(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Values as they are, if they are what this file holds.

        Raises:
            ValueError: they are not, which is a fault of who makes them.
        """
        cls.model_validate(values)
        return values

    @classmethod
    def read(cls, text: str) -> dict[str, Any]:
        """What JSON text of this file holds, as plain values by the names that they have there. Every known key is
        there.

        Raises:
            ValueError: it is not what this file holds in this format; of pydantic where it is JSON.
        """
        known = cls.model_validate_json(text, strict=True, context=READING).model_dump(by_alias=True)
        found: dict[str, Any] = _as_written(json.loads(text), known)
        return found

    @model_validator(mode="before")
    @classmethod
    def _as_other_versions_wrote_it(cls, values: Any, info: ValidationInfo) -> Any:
        if info.context is not READING or not isinstance(values, dict):
            return values
        found = {field.alias or name: field for name, field in cls.model_fields.items()}
        given = (
            values
            if cls.model_config.get("extra") == "allow"
            else {k: v for k, v in values.items() if k in found}
        )
        missing = [key for key, field in found.items() if key not in given and field.is_required()]
        meant = {key: None for key in missing if _nullable(found[key].annotation)}
        return meant | {key: cls.older[key] for key in missing if key in cls.older} | given


def _as_written(written: Any, known: Any) -> Any:
    """What is known of a tree, with numbers as they were written: a count that may be a fraction stays a count."""
    if isinstance(known, dict):
        return {
            key: _as_written(written[key], value) if key in written else value for key, value in known.items()
        }
    if isinstance(known, list):
        return [_as_written(one, value) for one, value in zip(written, known, strict=True)]
    return written


def _nullable(annotation: Any) -> bool:
    return type(None) in get_args(annotation)


class Share(Record):
    """A proportion with its Wilson 95 % interval.

    Attributes:
        value, low, high: in [0, 1]; null where nothing was tried.
        successes, trials: counts. Where worlds try the same targets again, the interval is that of one try each.
    """

    value: float | None
    low: float | None
    high: float | None
    successes: float
    trials: float


class Made(Record):
    """Which version of the tool made what.

    Attributes:
        federation: null where it was recorded elsewhere.
        attacks: by name.
    """

    federation: str | None = None
    attacks: dict[str, str] = Field(default_factory=dict)


class Ended(Record):
    """A federation that ended before its time.

    Attributes:
        after_round: the last round that is whole.
        reason: why.
    """

    after_round: int
    reason: str


class Loss(Record):
    """The mean loss of an epoch of a model.

    Attributes:
        round: 0 before round 1.
        phase: what the scheme calls it.
        client: null for the server.
        epoch: from 1.
        loss: six digits.
    """

    round: int
    phase: str
    client: int | None
    epoch: int
    loss: float


class Skipped(Record):
    """Something that was left out.

    Attributes:
        path: a file, or a person.
        reason: why.
    """

    path: str
    reason: str


class Confidence(Record):
    """Fig. 3 of the paper: how sure models are.

    Attributes:
        bins: edges in nats.
        server_public, server_private, client_public, client_private: normalized histograms of entropies.
    """

    bins: list[float]
    server_public: list[float]
    server_private: list[float]
    client_public: list[float]
    client_private: list[float]


class AttackLoss(Record):
    """A point of an attack's training.

    Attributes:
        round, client, step: where.
        loss: null where it was no number.
    """

    round: int
    client: int | None
    step: int
    loss: float | None


Free = dict[str, Any]
"""Whatever a plug-in says: its settings, its choices."""
