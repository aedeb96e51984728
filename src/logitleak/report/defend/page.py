"""What the template of defenses shows, worked out beforehand."""

from __future__ import annotations

import json
import shlex
from typing import Any

from markupsafe import Markup

from logitleak.report.defend.figure import Point, frontier
from logitleak.report.parts.load import SCHEMES, rows, table
from logitleak.report.parts.words import area, gain, percent
from logitleak.text import noun_of, plural

_GRADES = {"use": "none", "needless": "none", "costly": "likely", "exposed": "clear", "unknown": "unclear"}
_BADGES = {
    "use": "A defense was found",
    "needless": "Nothing to defend was shown",
    "costly": "What hides costs too much",
    "exposed": "Nothing that was tried hides it",
    "unknown": "Too little is known",
}
_CLAIMS = {"game": "who took part", "clients": "at which client"}


def context(found: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Everything the template reads, by name, and the figure."""
    lines, advice = rows(found, "lines"), table(found, "recommendation")
    passes = set(advice.get("hides") or []) & set(advice.get("keeps") or [])
    attacks = list(dict.fromkeys(name for line in lines for name in table(line, "leaks")))
    kinds = list(dict.fromkeys(_kind(line) for line in lines))
    figure = _figure(found, lines, kinds, passes)
    kind = str(advice.get("kind"))
    return {
        "title": f"Defenses of {SCHEMES.get(str(found.get('scheme')), found.get('scheme'))} on {found.get('title')}",
        "grade": _GRADES.get(kind, "unclear"),
        "badge": _BADGES.get(kind, _BADGES["unknown"]),
        "sentence": advice.get("sentence"),
        "steps": _steps(found, advice),
        "facts": _facts(found),
        "figure": Markup(figure),
        "attacks": attacks,
        "rows": [_row(place, line, attacks, advice) for place, line in enumerate(lines)],
        "promised": [(line["setting"], *item) for line in lines for item in table(line, "promised").items()],
        "missing": [(line["setting"], why) for line in lines for why in line.get("missing") or []],
        "wins": found.get("measure") == "wins",
        "fast": bool(found.get("fast")),
        "many": plural(noun_of(found.get("noun"))),
        "bought": gain(table(found, "bought")),
        "version": table(found, "versions").get("logitleak"),
    }, figure


def _kind(line: dict[str, Any]) -> str:
    """What a setting is one strength of."""
    return str(line["setting"]).partition(",")[0]


def _figure(found: dict[str, Any], lines: list[dict[str, Any]], kinds: list[str], passes: set[str]) -> str:
    bought, plain = table(found, "bought"), lines[0].get("accuracy") if lines else None
    bonus = bought.get("difference")
    alone = plain - bonus if plain is not None and bonus is not None else None
    bears = bought.get("low") is not None and bought["low"] > 0
    floor = alone + found["kept"] * bonus if alone is not None and bonus is not None and bears else None
    points = [
        Point(
            place,
            kinds.index(_kind(line)),
            abs(far["value"] - 0.5),
            line["accuracy"],
            line["setting"] in passes,
        )
        for place, line in enumerate(lines)
        if (far := line.get("strongest") or line.get("identity")) and line.get("accuracy") is not None
    ]
    return frontier(points, found["hidden"], floor, alone)


def _alone(found: dict[str, Any], setting: str) -> str:
    """The arguments that try one setting and nothing else."""
    line = next((line for line in rows(found, "lines") if line.get("setting") == setting), {})
    given = line.get("defenses")
    if not given:
        return f"--only {shlex.quote(setting)}"
    return f"--only 'as configured' --set {shlex.quote(f'defenses={json.dumps(given)}')}"


def _steps(found: dict[str, Any], advice: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    """What to do next: a title, a sentence, and a command or None."""
    steps: list[tuple[str, str, str | None]] = []
    if advice.get("kind") == "use":
        used = max(found.get("seeds") or [0])
        steps.append((
            "Confirm it on other seeds", "Of many settings the best looks better than it is. Try this one alone, on "
            "seeds that had no part in choosing it.",
            f"logitleak defend CONFIG {_alone(found, str(advice.get('setting')))} "
            f"--seeds {used + 1} {used + 2} {used + 3}",
        ))  # fmt: skip
    if found.get("fast"):
        steps.append((
            "Try the rest", "This was one strength of each defense, and audits that train nothing. Without --fast "
            "there are three, shadows that have the defense too, and PLI.", None,
        ))  # fmt: skip
    if advice.get("kind") in ("costly", "exposed"):
        steps.append((
            "Share less", "Fewer rounds, fewer public rows, no targets' classes in the public set: what is not sent "
            "need not be hidden.", None,
        ))  # fmt: skip
    return steps


def _facts(found: dict[str, Any]) -> list[tuple[str, Any]]:
    return [
        ("Clients (K)", found.get("clients")),
        ("Rounds (T)", found.get("rounds")),
        ("Targets", found.get("targets")),
        ("Seeds", ", ".join(map(str, found.get("seeds") or []))),
        ("Settings tried", len(rows(found, "lines")) - 1),
        ("Federating buys, points", gain(table(found, "bought"))),
    ]


def _row(place: int, line: dict[str, Any], attacks: list[str], advice: dict[str, Any]) -> dict[str, Any]:
    setting, identity, strongest = line["setting"], table(line, "identity"), table(line, "strongest")
    return {
        "number": place,
        "setting": setting,
        "hides": setting in (advice.get("hides") or []),
        "keeps": setting in (advice.get("keeps") or []) if place else None,
        "leaks": [_leak(table(table(line, "leaks"), name)) for name in attacks],
        "identity": area(identity) or "–",
        "strongest": f"{strongest['value']:.2f}" if strongest else "–",
        "by": ", ".join(
            [*(str(strongest[key]) for key in ("onlooker", "variant")), _CLAIMS[strongest["claim"]]]
        )
        if strongest
        else "",
        "records": area(table(line, "records")) or "–",
        "epsilon": "–" if line.get("epsilon") is None else f"{line['epsilon']:.2f}",
        "promised": "see below" if line.get("promised") else "none",
        "accuracy": "–" if line.get("accuracy") is None else percent(line["accuracy"]),
        "server": "–" if line.get("server") is None else percent(line["server"]),
        "own": "–" if line.get("own") is None else percent(line["own"]),
        "gain": gain(table(line, "gain")),
        "loss": gain(table(line, "loss")),
        "bytes": "–" if line.get("bytes") is None else f"{line['bytes'] / 2**20:.2f}",
        "seconds": "–" if line.get("seconds") is None else f"{line['seconds']:.0f}",
    }


def _leak(leak: dict[str, Any]) -> dict[str, Any]:
    """A leak in words; bold where it is shown."""
    if not leak:
        return {"text": "–", "shown": False}
    if leak.get("wins") is not None:
        wins = f"{leak['wins']} of {leak['of']} won"
    else:
        wins = "–" if leak.get("auc") is None else f"area {leak['auc']:.2f}"
    if leak.get("value") is None:
        return {"text": wins, "shown": leak["shown"]}
    span = f"{100 * leak['low']:.0f} to {100 * leak['high']:.0f}"
    return {"text": f"{100 * leak['value']:+.0f} [{span}], {wins}".replace("-", "−"), "shown": leak["shown"]}
