"""What the page shows of a game: its table, its facts and its dots; and the nulls of an attack."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from logitleak.report.parts import marks
from logitleak.report.parts.games import Comparison, Game, Gap, central, game, leak, nulls, number
from logitleak.report.parts.load import Attack, Run, table
from logitleak.report.parts.series import style
from logitleak.report.parts.svg import MID_GRAY
from logitleak.report.parts.words import p_value, percent, points
from logitleak.report.run.leak_figures import compared

DESIGNS = {
    "twins": "twins: every target in half of the worlds",
    "decoys": "decoys: some targets withheld by coin",
    "canaries": "canaries: made-up people, planted or withheld by coin",
    "recorded": "recorded: the owner said who took part",
}


def shown_share(found: dict[str, Any] | None, chance: float | None, color: str) -> dict[str, Any] | None:
    """A share as text and, with its interval, as a bar."""
    if not found or number(found, "value") is None:
        return None
    whole = all(number(found, key) is not None for key in ("low", "high", "successes", "trials"))
    return {
        "percent": percent(found["value"]),
        "count": f"{found['successes']:g}/{found['trials']:g}" if whole else "",
        "interval": f"{found['low'] * 100:.0f}–{found['high'] * 100:.0f}" if whole else "",
        "bar": Markup(marks.share_bar(found, chance, color)) if whole else None,
    }


def context(run: Run) -> dict[str, Any] | None:
    """What the template shows of a game; None without one."""
    played = game(run)
    if played is None:
        return None
    return {
        "paired": played.paired,
        "by_likeness": played.by_likeness,
        "design": played.design,
        "unit": played.unit,
        "worlds": played.worlds,
        "primary": played.primary,
        "rows": [_row(run, attack, played) for attack, _ in compared(run)],
    }


def facts(run: Run) -> list[tuple[str, Any]]:
    """The game among the header's facts."""
    played = game(run)
    if played is None:
        return []
    primary = table(table(run.metrics, "game"), "primary")
    named = [str(primary[key]) for key in ("attack",) if primary.get(key)]
    named += [f"{primary['image']} image"] if primary.get("image") else []
    named += [f"round {primary['round']}"] if primary.get("round") is not None else []
    return [
        ("Game", DESIGNS.get(played.design, played.design)),
        ("Worlds", played.worlds if played.paired else None),
        ("Targets in the game", played.units),
        ("In, by world" if len(played.members) > 1 else "In", played.members or None),
        ("Primary attack", ", ".join(named) or None),
    ]


def dots(run: Run, attack: Attack) -> list[tuple[str, Markup]]:
    """A field of dots for each side: which targets came back in, and which out."""
    found = leak(attack)
    if found is None:
        return []
    fields = []
    for side in ("in", "out"):
        rates = [number(sides[side], "success") for sides in found.per_target.values() if side in sides]
        known = [rate >= 0.5 for rate in rates if rate is not None]
        if known:
            fields.append((side, Markup(marks.dots(known, style(run, attack.name)[0]))))
    return fields


def null_rows(run: Run, attack: Attack) -> list[dict[str, Any]]:
    """The nulls of an attack, as rows below its own."""
    return [
        {
            "kind": null.kind,
            "words": null.summary or f"{null.words[0].upper()}{null.words[1:]}.",
            "round": null.round,
            "accuracy": shown_share(null.share, run.data.get("chance"), MID_GRAY),
            "ssim": f"{null.ssim:.3f}" if null.ssim is not None else "–",
        }
        for null in nulls(attack)
    ]


def _row(run: Run, attack: Attack, played: Game) -> dict[str, Any]:
    found, color = leak(attack), style(run, attack.name)[0]
    images = [("chosen image", found.chosen), ("owner’s image", found.owner)] if found else []
    tested = central(played, found) if found else None  # the image whose p was corrected
    return {
        "name": attack.name,
        "color": color,
        "primary": attack.name == played.primary,
        "images": [
            _image(name, one, found.p_holm if found and one is tested else None, color)
            for name, one in images
            if one
        ],
    }


def _image(name: str, one: Comparison, holm: float | None, color: str) -> dict[str, Any]:
    wins = one.wins
    return {
        "name": name,
        "in": shown_share(one.inside, None, color),
        "out": shown_share(one.outside, None, color),
        "leak": f"{points(one.leak.value)}" if one.leak else None,
        "interval": _between(one.leak, 100, 0),
        "p": _p(one.leak),
        "holm": p_value(holm) if holm is not None else None,
        "wins": f"{wins.successes}/{wins.trials}" if wins else None,
        "wins_p": p_value(wins.p) if wins and wins.p is not None else None,
        "ties": wins.ties if wins else 0,
        "auc": f"{one.auc.value:.2f}" if one.auc else None,
        "auc_p": _p(one.auc),
        "ssim_in": f"{one.ssim_in:.2f}" if one.ssim_in is not None else "–",
        "ssim_out": f"{one.ssim_out:.2f}" if one.ssim_out is not None else "–",
        "ssim": f"{one.ssim.value:+.3f}".replace("-", "−") if one.ssim else None,
        "ssim_interval": _between(one.ssim, 1, 3),
    }


def _p(gap: Gap | None) -> str | None:
    return p_value(gap.p) if gap and gap.p is not None else None


def _between(gap: Gap | None, factor: float, places: int) -> str | None:
    """An interval as `38 to 81`."""
    if gap is None or gap.low is None or gap.high is None:
        return None
    ends = [f"{end * factor:.{places}f}" for end in (gap.low, gap.high)]
    return " to ".join("0" if float(end) == 0 and places == 0 else end.replace("-", "−") for end in ends)
