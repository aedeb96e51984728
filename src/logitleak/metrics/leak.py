"""The leak of one attack in one game: the only metric that sees the coins."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from logitleak.metrics import paired
from logitleak.metrics.proportion import clustered
from logitleak.sealed.game import Game


def compare(success: Tensor, ssim: Tensor, game: Game) -> dict[str, Any]:
    """What was in against what was out (see docs/run-folder.md, "comparison").

    Twins with two worlds are compared pair by pair. With more worlds a target's results in and out are averaged first,
    and targets are resampled. Where every target was seen once only, the two groups are compared.

    Args:
        success: bool [W, n], the outcome for each unit of the game in each world.
        ssim: float [W, n], its image's likeness to the truth.
        game: who was in.
    """
    coins = game.coins
    (hits_in, hits_out), (like_in, like_out) = _sides(success.double(), game), _sides(ssim.double(), game)
    inside, outside = success[coins].tolist(), success[~coins].tolist()
    share_in, share_out = (
        clustered(sum(side), len(side), len(units))
        for side, units in ((inside, hits_in), (outside, hits_out))
    )
    if not game.paired:
        leak = paired.independent_leak(inside, outside)
        auc, p = paired.area(like_in, like_out)
        return {
            "in": share_in, "out": share_out, "leak": rounded(leak), "table": None, "wins": None,
            "auc": rounded({"value": auc, "p": p}),
            "ssim": _likeness(like_in, like_out, paired.independent_difference(like_in, like_out)),
        }  # fmt: skip
    cells = None
    if game.worlds == 2:
        first, second = [value > 0 for value in hits_in], [value > 0 for value in hits_out]
        leak = paired.paired_leak(first, second)
        cells = dict(zip(paired.TABLE, paired.table(first, second), strict=True))
    else:
        leak = paired.bootstrap_leak(hits_in, hits_out)
        leak["p"] = paired.mcnemar(*_discordant(success, game))
        if leak["low"] == leak["high"]:  # no target differs from another: a resample says nothing
            pair = Game(game.design, game.units, game.strata, game.coins[:2], game.unit)
            one = [[value > 0 for value in side] for side in _sides(success[:2].double(), pair)]
            alone = paired.paired_leak(*one)
            leak["low"], leak["high"] = alone["low"], alone["high"]
    return {
        "in": share_in, "out": share_out, "leak": rounded(leak), "table": cells,
        "wins": rounded(paired.wins(like_in, like_out)), "auc": None,
        "ssim": _likeness(like_in, like_out, paired.paired_difference(like_in, like_out)),
    }  # fmt: skip


def decisive(comparison: dict[str, Any], measure: str) -> float | None:
    """The p-value of the test that a game's verdict asks; None where there is none.

    Args:
        comparison: what `compare` made.
        measure: "success", or "wins" where likeness decides: pairs by their wins, groups by the area under the curve.
    """
    asked = comparison["leak"] if measure == "success" else comparison["wins"] or comparison["auc"]
    return None if asked is None else asked["p"]


def sides_of(success: Tensor, ssim: Tensor, game: Game) -> list[dict[str, Any]]:
    """For each unit what it scored in and out, averaged over worlds; null where it never was."""
    rows = []
    for unit in range(len(game.units)):
        row: dict[str, Any] = {}
        for side, worlds in (("in", game.coins[:, unit]), ("out", ~game.coins[:, unit])):
            seen = bool(worlds.any())
            row[side] = (
                rounded(
                    {
                        "success": float(success[worlds, unit].double().mean()),
                        "ssim": float(ssim[worlds, unit].double().mean()),
                    }
                )
                if seen
                else None
            )
        rows.append(row)
    return rows


def rounded(values: Any) -> dict[str, Any]:
    """Numbers for JSON: six significant digits; nan is null."""
    return {
        key: significant(value) if isinstance(value, float) else value for key, value in dict(values).items()
    }


def significant(value: float) -> float | None:
    """A number for JSON: six significant digits; nan is null."""
    return None if value != value else float(f"{value:.6g}")


def _discordant(success: Tensor, game: Game) -> tuple[int, int]:
    """Over all pairs of twin worlds, how often a target came back in only, and out only. Every pair has coins of its
    own, so that McNemar's test holds where images change nothing."""
    inside = torch.where(game.coins[0::2], success[0::2], success[1::2])
    outside = torch.where(game.coins[0::2], success[1::2], success[0::2])
    return int((inside & ~outside).sum()), int((outside & ~inside).sum())


def _sides(values: Tensor, game: Game) -> tuple[list[float], list[float]]:
    """The mean of every unit over the worlds where it is in, and over those where it is out; units that are never on a
    side are left out there."""
    found = []
    for side in (game.coins, ~game.coins):
        count = side.sum(0)
        total = torch.where(side, values, torch.zeros_like(values)).sum(0)
        found.append((total[count > 0] / count[count > 0]).tolist())
    return found[0], found[1]


def _likeness(inside: list[float], outside: list[float], difference: Any) -> dict[str, Any]:
    means = {"in": sum(inside) / len(inside), "out": sum(outside) / len(outside)}
    return rounded(means | dict(difference))
