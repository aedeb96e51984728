"""What the template of an audit shows, worked out beforehand."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from logitleak.report.audit.findings import Finding, findings, main_result, strongest
from logitleak.report.parts import marks
from logitleak.report.parts.load import SCHEMES, rows, table
from logitleak.report.parts.words import area as area_text
from logitleak.report.parts.words import gain, percent
from logitleak.text import noun_of, plural

_BADGES = {
    "clear": "Given away",
    "likely": "Something is given away",
    "none": "Nothing was shown",
    "unknown": "Not judged",
}
_WORST_FIRST = tuple(_BADGES)
_COLOR = "#b8432f"
_OTHER = "#5a6b7b"


def context(found: dict[str, Any]) -> dict[str, Any]:
    """Everything the template reads, by name."""
    answers = findings(found)
    worst = min(answers, key=lambda one: _WORST_FIRST.index(one.grade))
    return {
        "title": _title(found),
        "answers": answers,
        "worst": worst,
        "badge": _BADGES[worst.grade],
        "steps": _steps(found, answers),
        "facts": _facts(found),
        "threat": table(found, "threat_model"),
        "panels": [_panel(question, answers, found) for question in rows(found, "audits")],
        "epsilon": next(one for one in answers if one.audit == "epsilon"),
        "noun": noun_of(found.get("noun")),
        "version": table(found, "versions").get("logitleak"),
    }


def _title(found: dict[str, Any]) -> str:
    scheme = str(table(found, "threat_model").get("scheme"))
    return f"What {SCHEMES.get(scheme, scheme)} on {found.get('title')} gives away"


def _facts(found: dict[str, Any]) -> list[tuple[str, Any]]:
    data, game = table(found, "data"), table(found, "game")
    lab = found.get("lab")
    calibrated = f"no: {lab}" if lab else "yes, from a federation of the server's own"
    listed = [
        ("Clients (K)", data.get("clients")),
        ("Rounds (T)", data.get("rounds")),
        ("Targets", data.get("targets")),
        ("Classes", data.get("classes")),
        ("Public rows", data.get("public")),
        ("Game", game.get("design") or "none"),
        ("Unit", game.get("unit")),
        ("Calibrated sums", calibrated),
        ("Seed", found.get("seed")),
        ("Config", found.get("config_hash")),
    ]
    return [(name, value) for name, value in listed if value is not None]


def _steps(found: dict[str, Any], answers: list[Finding]) -> list[tuple[str, str, str | None]]:
    """What to do next: a title, a sentence, and a command or None."""
    by_name = {one.audit: one for one in answers}
    game = table(found, "game")
    steps: list[tuple[str, str, str | None]] = []
    if not found.get("truth"):
        steps.append((
            "Get the truth", "Plant canaries, or import the recording with targets that say who took part; then the "
            "scores can be judged.", "logitleak deploy split CONFIG OUT --canaries 20",
        ))  # fmt: skip
    elif not game:
        steps.append((
            "Play a game", "Without people who were withheld nobody can say what their data changed.",
            "logitleak run CONFIG --twins",
        ))  # fmt: skip
    if by_name["identity"].grade in ("clear", "likely"):
        steps.append((
            "Do not rely on rounding or sums", "Look at the rows of the first panel: hard labels and sums are in it. "
            "What still tells there is not hidden by them.", None,
        ))  # fmt: skip
    if by_name["epsilon"].grade == "unknown" and found.get("truth"):
        steps.append((
            "Get a bound on ε", "It wants independent fair coins: one federation in which half of the targets are "
            "withheld by coin. How many are needed is said by --plan.", "logitleak audit --plan",
        ))  # fmt: skip
    if (
        by_name.get("queried") and "candidates=" in by_name["queried"].sentence
    ):  # else that alone would not help
        steps.append((
            "Ask about single images", "If your server chooses the public set it can ask about any image.",
            "logitleak run CONFIG --set candidates=200",
        ))  # fmt: skip
    return steps


def by_client(exposed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same by client, the most exposed first: how many of its targets are in the game, and the mean share of those
    who were out that they score above. None of it where owners are not known, or all are at one client."""
    groups: dict[int, list[float]] = {}
    for one in exposed:
        if one["client"] is not None:
            groups.setdefault(one["client"], []).append(one["order"][0])
    if len(groups) < 2:
        return []
    found = [
        {"client": client, "targets": len(shares), "mean": sum(shares) / len(shares), "least": min(shares)}
        for client, shares in groups.items()
    ]
    return [
        one | {"mean": percent(one["mean"]), "least": percent(one["least"])}
        for one in sorted(found, key=lambda one: (-one["mean"], one["client"]))
    ]


def _panel(question: dict[str, Any], answers: list[Finding], found: dict[str, Any]) -> dict[str, Any]:
    """One audit: its answer, a row for every onlooker and variant, and the people who are exposed most."""
    name = str(question.get("audit"))
    answer = next(one for one in answers if one.audit == name)
    lines = []
    for seen in rows(question, "views"):
        if seen.get("refused"):
            lines.append(
                {"who": seen["onlooker"], "sees": seen["sees"], "refused": seen["refused"], "primary": False}
            )
            continue
        for result in rows(seen, "variants"):
            first = result["variant"] == seen.get("primary")
            if first or seen is strongest(question):  # of weaker views what was named beforehand is enough
                lines.append(_row(seen, first, result))
    exposed = _exposed(question, found) if question.get("answer") == "membership" else []
    return {
        "name": name,
        "anchor": f"audit-{name}",
        "question": question.get("question"),
        "answer": answer,
        "kind": question.get("answer"),
        "assumptions": question.get("assumptions") or [],
        "settings": table(question, "settings"),
        "rows": lines,
        "exposed": exposed,
        "by_client": by_client(exposed),
        "estimate": _estimate(question),
        "what": "images" if question.get("answer") == "records" else plural(noun_of(found.get("noun"))),
    }


def _row(seen: dict[str, Any], first: bool, result: dict[str, Any]) -> dict[str, Any]:
    game, clients = table(result, "game"), table(result, "clients")
    area, among = table(game, "area"), table(clients, "area")
    color = _COLOR if first else _OTHER
    points = {point["asked"]: point for point in game.get("points") or []}
    pairs, named = game.get("pairs"), clients.get("named")
    shares, models = table(result, "shares"), table(result, "models")
    agreement = table(models, "agreement")
    return {
        "who": seen["onlooker"],
        "sees": seen["sees"],
        "variant": result["variant"],
        "primary": first,
        "refused": None,
        "area": area_text(area),
        "bar": Markup(marks.share_bar(area, 0.5, color)) if area else None,
        "counts": _counts(area),
        "among": area_text(among),
        "among_counts": _counts(among),
        "among_bar": Markup(marks.share_bar(among, 0.5, color)) if among else None,
        "pairs": f"{pairs['successes']:g} of {pairs['trials'] + pairs['ties']:g}" if pairs else "–",
        "named": f"{named['successes']:g} of {named['trials']:g}" if named else "–",
        "tpr": [_point(points.get(rate)) for rate in (0.1, 0.01)],
        "distances": [_fixed(table(shares, "mean").get(key)) for key in ("total_variation", "largest", "kl")],
        "presence": area_text(table(shares, "presence")),
        "agreement": percent(agreement["value"]) if agreement else None,
        "agreement_bar": Markup(marks.share_bar(agreement, None, color)) if agreement else None,
        "gain": gain(table(models, "gain")),
        "against": str(models.get("against") or ""),
        "lead": _lead(table(result, "lead")),
    }


def _counts(area: dict[str, Any]) -> str:
    """How many members and others an area is of."""
    return f"{area['positives']} / {area['negatives']}" if area else "–"


def _exposed(question: dict[str, Any], found: dict[str, Any]) -> list[dict[str, Any]]:
    """Every target of the game, the most exposed first: which share of all targets that were out scores below it."""
    game = table(main_result(question) or {}, "game")
    units = game.get("per_unit") or []
    outside = [unit["out"] for unit in units if unit["out"] is not None]
    names, owners = table(found, "data").get("names"), table(found, "data").get("owners")
    listed = []
    for unit in units:
        if unit["in"] is None or not outside:
            continue
        place = unit["place"]
        below = sum(score < unit["in"] for score in outside) / len(outside)
        listed.append(
            {
                "name": names[place] if names else place,
                "client": owners[place] if owners and owners[place] >= 0 else None,
                "below": percent(below),
                "change": None
                if unit["out"] is None
                else f"{unit['in'] - unit['out']:+.2f}".replace("-", "−"),
                "order": (below, unit["in"] - (unit["out"] or 0.0)),
            }
        )
    return sorted(listed, key=lambda one: one["order"], reverse=True)


def _estimate(question: dict[str, Any]) -> str | None:
    area = table(table(table(question, "estimate"), "game"), "area")
    return area_text(area) if area else None


def _point(point: dict[str, Any] | None) -> str:
    if point is None:
        return "–"
    hits, alarms = point["true_positives"], point["false_positives"]
    return f"{percent(hits['value'])} at {percent(alarms['value'])}"


def _lead(lead: dict[str, Any]) -> str:
    if not lead:
        return "–"
    if lead["low"] is None:
        return f"{lead['difference']:+.3f}".replace("-", "−")
    return f"{lead['difference']:+.3f} [{lead['low']:+.2f} to {lead['high']:+.2f}]".replace("-", "−")


def _fixed(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
