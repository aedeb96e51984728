"""What a game measured, read out of metrics.json into types: any part of it may be missing, null or of a wrong type.

A game decides by sealed coins whose private images take part ("in") and whose are withheld from everybody ("out");
the leak is what the images changed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from logitleak.report.parts.load import Attack, Run, rows, table

LEVEL = 0.05
"""A p below it counts."""

NULLS = {
    "non-owners": "uploads of clients that do not hold the target",
    "own-model": "the server’s own model in place of a client",
}
"""What each null attacks instead, in the words of the page."""


@dataclass(frozen=True)
class Gap:
    """A difference between in and out, with its 95% interval and its p where there are any."""

    value: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    method: str = ""

    @property
    def above(self) -> bool:
        """Whether the whole interval lies above zero."""
        return self.low is not None and self.low > 0

    @property
    def below(self) -> bool:
        """Whether the whole interval lies below zero."""
        return self.high is not None and self.high < 0

    @property
    def shown(self) -> bool:
        """Whether it is beyond chance: the interval above zero, and p below .05 unless a bootstrap gives none."""
        agreed = self.method == "bootstrap" if self.p is None else self.p < LEVEL
        return self.above and self.value > 0 and agreed

    def corrected(self, p: float | None) -> bool:
        """Whether it is beyond chance by a p that is corrected for the number of attacks."""
        return self.above and self.value > 0 and p is not None and p < LEVEL


@dataclass(frozen=True)
class Wins:
    """For how many targets the image rebuilt in is the better likeness than the one rebuilt out."""

    successes: int
    trials: int
    ties: int = 0
    p: float | None = None

    @property
    def shown(self) -> bool:
        """Whether there are more wins than losses, and more than a fair coin would give."""
        return 2 * self.successes > self.trials and self.p is not None and self.p < LEVEL


@dataclass(frozen=True)
class Comparison:
    """In against out, for one image of every target."""

    inside: dict[str, Any] = field(default_factory=dict)
    outside: dict[str, Any] = field(default_factory=dict)
    leak: Gap | None = None
    both: int | None = None
    wins: Wins | None = None
    auc: Gap | None = None
    ssim_in: float | None = None
    ssim_out: float | None = None
    ssim: Gap | None = None

    @property
    def likeness_shown(self) -> bool:
        """Whether likeness to the truth is beyond chance: pairs by their wins, groups by the area under the curve. One
        test only, so that no correction is due."""
        if self.wins:
            return self.wins.shown
        return bool(self.auc and self.likelier and self.auc.p is not None and self.auc.p < LEVEL)

    @property
    def likelier(self) -> bool:
        """Whether likeness is larger in than out, by chance or not."""
        if self.wins:
            return 2 * self.wins.successes > self.wins.trials
        return bool(self.auc and self.auc.value > 0.5)


@dataclass(frozen=True)
class Leak:
    """An attack's part of a game: of the chosen image, and of the one that the true owner's uploads gave."""

    chosen: Comparison | None
    owner: Comparison | None
    p_holm: float | None
    rounds: list[tuple[int, Comparison | None, Comparison | None]]
    per_target: dict[int, dict[str, dict[str, Any]]]


@dataclass(frozen=True)
class Game:
    """How the game was played."""

    design: str
    unit: str
    worlds: int | None
    units: int | None
    members: list[int]
    primary: str | None
    image: str
    measure: str = "success"

    @property
    def paired(self) -> bool:
        """Whether every target was tried in both ways."""
        return self.design == "twins"

    @property
    def by_likeness(self) -> bool:
        """Whether likeness decides: where public images are of the same classes and kind, the paper's test, which holds
        a reconstruction against public means, says little."""
        return self.measure == "wins"

    def shows(self, main: Comparison) -> bool:
        """Whether a comparison that was named beforehand is beyond chance."""
        if not self.by_likeness:
            return main.leak is not None and main.leak.shown
        return main.likeness_shown

    def shows_among(self, main: Comparison, p: float | None) -> bool:
        """Whether one that was not is, by a p that is corrected for the number of attacks."""
        if not self.by_likeness:
            return main.leak is not None and main.leak.corrected(p)
        return main.likelier and p is not None and p < LEVEL


@dataclass(frozen=True)
class Null:
    """What the same attack scores where it cannot have seen the private image."""

    kind: str
    round: int | None
    share: dict[str, Any]
    ssim: float | None
    summary: str

    @property
    def words(self) -> str:
        """What was attacked instead."""
        return NULLS.get(self.kind, self.kind)


def game(run: Run) -> Game | None:
    """The game that the run played, or None."""
    said = table(run.metrics, "game")
    if not said:
        return None
    primary = table(said, "primary")
    members = said.get("in")
    return Game(
        design=str(said.get("design")),
        unit=str(said.get("unit") or "person"),
        worlds=whole(said, "worlds"),
        units=whole(said, "units"),
        members=[each for each in members if isinstance(each, int)] if isinstance(members, list) else [],
        primary=str(primary["attack"]) if primary.get("attack") else None,
        image="owner" if primary.get("image") == "owner" else "chosen",
        measure=str(said.get("measure") or "success"),
    )


def leak(attack: Attack) -> Leak | None:
    """What the game says of an attack; None for rivals, and where there was no game."""
    said = table(attack.numbers, "leak")
    if not said:
        return None
    over = [
        (entry["round"], comparison(entry, "chosen"), comparison(entry, "owner"))
        for entry in rows(said, "rounds")
        if whole(entry, "round") is not None
    ]
    per_target = {
        row["label"]: {side: _scores(table(row, side)) for side in ("in", "out") if table(row, side)}
        for row in rows(said, "per_target")
        if whole(row, "label") is not None
    }
    found = comparison(said, "chosen"), comparison(said, "owner")
    return Leak(*found, number(said, "p_holm"), sorted(over, key=lambda entry: entry[0]), per_target)


def _scores(side: dict[str, Any]) -> dict[str, Any]:
    return {"success": number(side, "success"), "ssim": number(side, "ssim")}


def central(game: Game, found: Leak) -> Comparison | None:
    """The comparison that the game is about; of the chosen image where the owner's is asked for and not known."""
    candidates = (found.owner, found.chosen) if game.image == "owner" else (found.chosen,)
    return next((one for one in candidates if one and one.leak and one.inside and one.outside), None)


def nulls(attack: Attack) -> list[Null]:
    """The nulls of an attack that have an accuracy."""
    listed = [
        Null(
            kind=str(row.get("kind")),
            round=whole(row, "round"),
            share=share(row, "accuracy"),
            ssim=number(row, "ssim"),
            summary=str(row.get("summary") or ""),
        )
        for row in rows(attack.numbers, "nulls")
    ]
    return [null for null in listed if null.share]


def comparison(parent: dict[str, Any], key: str) -> Comparison | None:
    """A comparison; None where it is null."""
    said = table(parent, key)
    if not said:
        return None
    wins, likeness = table(said, "wins"), table(said, "ssim")
    won, tried = whole(wins, "successes"), whole(wins, "trials")
    return Comparison(
        inside=share(said, "in"),
        outside=share(said, "out"),
        leak=gap(table(said, "leak"), "value"),
        both=whole(table(said, "table"), "both"),
        wins=Wins(won, tried, whole(wins, "ties") or 0, number(wins, "p"))
        if won is not None and tried is not None
        else None,
        auc=gap(table(said, "auc"), "value"),
        ssim_in=number(likeness, "in"),
        ssim_out=number(likeness, "out"),
        ssim=gap(likeness, "difference"),
    )


def gap(said: dict[str, Any], key: str) -> Gap | None:
    """A difference; None without a value."""
    value = number(said, key)
    if value is None:
        return None
    low, high, p = (number(said, name) for name in ("low", "high", "p"))
    return Gap(value, low, high, p, str(said.get("method") or ""))


def share(parent: dict[str, Any], key: str) -> dict[str, Any]:
    """A share with all of its numbers; empty where one is missing."""
    found = table(parent, key)
    names = ("value", "low", "high", "successes", "trials")
    return found if all(number(found, name) is not None for name in names) and found["trials"] else {}


def number(parent: dict[str, Any], key: str) -> float | None:
    """A finite number; None where there is none."""
    value = parent.get(key)
    real = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return value if real else None


def whole(parent: dict[str, Any], key: str) -> int | None:
    """A whole number; None where there is none."""
    value = parent.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
