"""What an attack on images finds under one setting of a defense, over the federations of all seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from scipy import stats

from logitleak.metrics import paired
from logitleak.metrics.leak import significant

_LEVEL = 0.05


def image_leak(found: Sequence[dict[str, Any] | None], image: str) -> dict[str, Any] | None:
    """The leak of one attack, as in `logitleak.formats.defend.ImageLeak`, with ``shown`` still to be said.

    Args:
        found: `leak` of each seed's result; None where no game was played.
        image: "owner" where a coin is about one client, so that its image counts and not the one that an attack chose,
            which counts where owners are not known; else "chosen".

    Returns:
        None where nothing was attacked, or no game was played.
    """
    played = [one for one in found if one is not None]
    if not played or len(played) < len(found):
        return None
    compared: list[dict[str, Any]] = [one[image] or one["chosen"] for one in played]
    paired_up = all(one["wins"] is not None for one in compared)
    shares = _pairs(compared) if paired_up else _groups(compared)
    likeness = _wins([one["wins"] for one in compared]) if paired_up else _apart(played)
    nothing = dict.fromkeys(("wins", "of", "wins_p", "auc", "auc_p"))
    return (
        {key: significant(shares[key]) for key in ("value", "low", "high", "p")}
        | nothing
        | likeness
        | {"shown": False}
    )


def is_shown(leak: dict[str, Any], measure: str) -> bool:
    """Whether private images are shown to change what comes back, by what the game is decided by.

    Args:
        leak: what `image_leak` found.
        measure: "success", or "wins" where likeness decides.
    """
    if measure != "wins":
        return bool(leak["low"] > 0 and leak["p"] < _LEVEL)
    if leak["wins"] is not None:
        return bool(leak["wins_p"] < _LEVEL and 2 * leak["wins"] > leak["of"])
    return leak["auc"] is not None and bool(leak["auc_p"] < _LEVEL and leak["auc"] > 0.5)


def _pairs(compared: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of twins: pairs pooled over targets and seeds. More than two worlds leave no pairs, but a leak of each seed: what
    is below their mean adds up as independent errors do, and the smallest p pays for all."""
    tables = [one["table"] for one in compared]
    if all(tables):
        return {**paired.counted_leak(**{name: sum(one[name] for one in tables) for name in paired.TABLE})}
    leaks = [one["leak"] for one in compared]
    value = fmean(one["value"] for one in leaks)
    below = math.hypot(*(one["value"] - one["low"] for one in leaks)) / len(leaks)
    above = math.hypot(*(one["high"] - one["value"] for one in leaks)) / len(leaks)
    tested = [1.0 if one["p"] is None else one["p"] for one in leaks]
    p = min(1.0, len(tested) * min(tested))
    return {"value": value, "low": value - below, "high": value + above, "p": p}


def _groups(compared: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of decoys: different targets were in and out, and those of all seeds are one group each."""
    inside, outside = (
        tuple(int(sum(one[side][key] for one in compared)) for key in ("successes", "trials"))
        for side in ("in", "out")
    )
    return {**paired.counted_groups(*inside, *outside)}


def _wins(each: Sequence[dict[str, Any]]) -> dict[str, Any]:
    won, of = (sum(int(one[key]) for one in each) for key in ("successes", "trials"))
    p = float(stats.binomtest(won, of, 0.5).pvalue) if of else 1.0
    return {"wins": won, "of": of, "wins_p": significant(p)}


def _apart(played: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How well likeness tells targets that were in from those that were out."""
    inside, outside = (
        [row[side]["ssim"] for one in played for row in one["per_target"] if row[side] is not None]
        for side in ("in", "out")
    )
    if not inside or not outside:
        return {}
    area, p = paired.area(inside, outside)
    return {"auc": significant(area), "auc_p": significant(p)}
