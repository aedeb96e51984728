"""``audit.json``: what a federation gives away, beyond images."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from logitleak.formats.exposure import Result
from logitleak.formats.metrics import Game, ThreatModel
from logitleak.formats.parts import FORMAT, Record


class Seen(Record):
    """One view of the federation.

    Attributes:
        onlooker: who looks.
        sees: what the attacker has, in a sentence.
        refused: why there is no answer; else null.
        primary: the variant that was named beforehand.
        variants: the primary first.
    """

    onlooker: str
    sees: str
    refused: str | None
    primary: str | None
    variants: list[Result]


class Question(Record):
    """One audit.

    Attributes:
        audit: its name.
        question: in words.
        answer: what its numbers are.
        summary: one line.
        assumptions: sentences.
        settings: its own.
        views: the strongest first.
        estimate: the same in a federation that the server played by itself with public people; null where none was.
        seconds: how long it took.
    """

    audit: str
    question: str
    answer: Literal["membership", "records", "shares", "agreement"]
    summary: str
    assumptions: list[str]
    settings: dict[str, Any]
    views: list[Seen]
    estimate: Result | None
    seconds: float


class AuditFile(Record):
    """Everything that the page of an audit reads.

    Attributes:
        format: 1.
        title, noun, seed, config_hash, versions: of the run.
        threat_model: who attacks.
        truth: whether anybody said who holds what.
        game: null without one, or without the truth.
        data: classes, targets, clients, rounds, whether the people are made up, and names of targets.
        fast: whether nothing was trained for it.
        lab: whether federations of the server's own calibrated the scores, or why not.
        audits: in the order of the page.
    """

    older: ClassVar = {"format": FORMAT}
    remedy = "audit the run again with `logitleak audit RUN`"

    format: Literal[1]
    title: str
    noun: str
    seed: int
    config_hash: str
    versions: dict[str, str]
    threat_model: ThreatModel
    truth: bool
    game: Game | None
    data: dict[str, Any]
    fast: bool
    lab: str | None
    audits: list[Question]
