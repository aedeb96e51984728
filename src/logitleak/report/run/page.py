"""What the template shows, worked out beforehand: the template only places it."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from logitleak.report.audit.findings import Finding, detected
from logitleak.report.parts import marks
from logitleak.report.parts.load import SCHEMES, Attack, Run, rows, table
from logitleak.report.parts.series import style
from logitleak.report.parts.words import many, one, percent
from logitleak.report.run import exchange, gallery, leak_page, next_steps, utility
from logitleak.report.run.verdict import judge

Row = tuple[str, str]

PAPER = (
    "Hideaki Takahashi, Jingjing Liu, Yang Liu: Breaching FedMD: Image Recovery via Paired-Logits Inversion "
    "Attack. CVPR 2023, pp. 12198–12207."
)
BIBTEX = """@inproceedings{takahashi2023breaching,
  title     = {Breaching {FedMD}: Image Recovery via Paired-Logits Inversion Attack},
  author    = {Takahashi, Hideaki and Liu, Jingjing and Liu, Yang},
  booktitle = {Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
  pages     = {12198--12207},
  year      = {2023}
}"""


def context(run: Run, figures: dict[str, str], grids: list[str]) -> dict[str, Any]:
    """Everything the template reads, by name."""
    verdict = judge(run)
    cards = gallery.cards(run)
    chosen = [attack for attack in run.audited if attack.name == verdict.best]
    return {
        "title": _title(run),
        "verdict": verdict,
        "dots": _dots(run, chosen[0]) if chosen else [],
        "next_steps": next_steps.steps(run, verdict),
        "game": leak_page.context(run),
        "identity": _identity(run),
        "lineup": gallery.lineup(run, verdict.best),
        "facts": _facts(run),
        "notes": run.notes,
        "threat": table(run.metrics, "threat_model"),
        "attacks": [_attack_row(run, attack) for attack in gallery.ordered(run) if attack.kind != "rival"],
        "rivals": [_attack_row(run, attack) for attack in run.rivals],
        "chance": percent(run.data["chance"]) if run.data.get("chance") is not None else None,
        "cards": cards,
        "card_limit": gallery.CARD_LIMIT,
        "targets": len(run.labels),
        "has_truth": run.truth is not None,
        "sortable": [
            attack.name for attack in gallery.ordered(run) if attack.kind != "rival" and attack.per_target
        ],
        "card_data": [
            {"label": card["label"], "name": card["name"], "judged": card["judged"]} for card in cards
        ],
        "strips": gallery.strips(run, verdict.best),
        "grids": grids,
        "figures": {name: Markup(svg) for name, svg in figures.items()},
        "clients": run.data.get("clients"),
        "utility": utility.of_models(run),
        "baselines": utility.baselines(run),
        "bytes": exchange.received(run),
        "absent": exchange.absent(run),
        "ended": table(table(run.metrics, "federation"), "ended"),
        "details": _details(run),
        "settings": [_settings(attack) for attack in run.attacks],
        "skipped": rows(run.data, "skipped"),
        "paper": PAPER,
        "bibtex": BIBTEX,
        "version": table(run.metrics, "versions").get("logitleak"),
    }


def _identity(run: Run) -> Finding | None:
    """Who is at which client, in a sentence; None where nobody can say."""
    result = table(run.metrics, "identity")
    if not (result.get("game") or result.get("clients")):
        return None
    hidden = run.data.get("aggregation", "plain") != "plain"
    title = "who is in anybody's data?" if hidden else "who is at which client?"
    return detected("identity", title, result, False, one(run))


def _title(run: Run) -> str:
    scheme = _scheme(run) or "Federated distillation"
    source = run.data.get("title") or run.data.get("source")
    return f"{scheme} on {source}" if source else str(scheme)


def _scheme(run: Run) -> str | None:
    name = table(run.metrics, "threat_model").get("scheme")
    return SCHEMES.get(str(name), str(name)) if name else None


def _dots(run: Run, best: Attack) -> list[tuple[str, Markup]]:
    """Fields of dots beside the verdict: of both sides of a game, else of the paper's measure."""
    if sides := leak_page.dots(run, best):
        return sides
    successes = [bool(row.get("success")) for row in best.per_target]
    return [("", Markup(marks.dots(successes, style(run, best.name)[0])))] if successes else []


def _facts(run: Run) -> list[Row]:
    """The header's list: what was audited, in a dozen short facts."""
    data = run.data
    size = data.get("image_size")
    rounds = _rounds(run)
    listed = [
        ("Scheme", _scheme(run)),
        ("Federation", "recorded elsewhere and imported" if data.get("recorded") else None),
        ("Data", data.get("title") or data.get("source")),
        ("Nature of the data", _nature(data.get("synthetic"))),
        ("Protocol", data.get("protocol")),
        ("Clients (K)", data.get("clients")),
        ("Clients a round", exchange.drawn(run)),
        ("Rounds (T)", rounds),
        ("Targets", len(run.labels) or data.get("targets")),
        *leak_page.facts(run),
        ("Identities" if one(run) == "person" else many(run).capitalize(), data.get("identities")),
        ("Classes", data.get("classes")),
        ("Public rows" if size == 0 else "Public images", _public(data)),
        ("Aggregation", data.get("aggregation")),
        ("Private images per client", data.get("private")),
        ("Image size", "no images" if size == 0 else f"{size} × {size}" if isinstance(size, int) else size),
        ("Seed", run.metrics.get("seed")),
        ("Config", run.metrics.get("config_hash")),
    ]
    return [(name, plain(value)) for name, value in listed if value is not None]


def _nature(synthetic: bool | None) -> str:
    return "not stated" if synthetic is None else "synthetic" if synthetic else "real"


def _public(data: dict[str, Any]) -> str | None:
    sensitive, insensitive = data.get("public_sensitive"), data.get("public_insensitive")
    if sensitive is None and insensitive is None:
        return None
    return f"{plain(sensitive)} sensitive (D₀), {plain(insensitive)} insensitive (Dₐ)"


def _rounds(run: Run) -> int | None:
    """Rounds of the federation: the last round that any number speaks of."""
    federation = table(run.metrics, "federation")
    lists = [
        rows(federation, "bytes"),
        rows(federation, "losses"),
        rows(table(run.metrics, "utility"), "rounds"),
    ]
    lists += [rows(attack.numbers, "rounds") for attack in run.attacks]
    seen = [row["round"] for entries in lists for row in entries if isinstance(row.get("round"), int)]
    seen += [round_ for attack in run.attacks for round_ in attack.rounds]
    return max(seen, default=None)


def _attack_row(run: Run, attack: Attack) -> dict[str, Any]:
    mean = table(attack.numbers, "mean")
    color = style(run, attack.name)[0]
    return {
        "name": attack.name,
        # In a run an attack may go by any name; the registered one says what it is.
        "base": attack.numbers.get("attack") if attack.numbers.get("attack") != attack.name else None,
        "kind": attack.kind,
        "summary": attack.numbers.get("summary"),
        "color": color,
        "accuracy": leak_page.shown_share(attack.numbers.get("accuracy"), run.data.get("chance"), color),
        "close": leak_page.shown_share(attack.numbers.get("too_close_to_public"), None, color),
        "owner": leak_page.shown_share(attack.numbers.get("owner_named"), None, color),
        "ssim": fixed(mean.get("ssim"), 3),
        "psnr": fixed(mean.get("psnr"), 1),
        "mse": fixed(mean.get("mse"), 4),
        "nulls": leak_page.null_rows(run, attack),
    }


def _details(run: Run) -> list[tuple[str, list[Row]]]:
    """The lists at the end: config, versions and timings, whatever keys they have."""
    blocks = [
        ("Config", run.metrics.get("config")),
        ("Versions", run.metrics.get("versions")),
        ("Made by version", run.metrics.get("made_by")),
        ("Timings and memory", run.timings),
    ]
    return [(name, flatten(value)) for name, value in blocks if value]


def _settings(attack: Attack) -> dict[str, Any]:
    assumptions = attack.numbers.get("assumptions")
    return {
        "name": attack.name,
        "kind": attack.kind,
        "settings": flatten(attack.numbers.get("settings") or {}),
        "choices": flatten(attack.numbers.get("choices") or {}),
        "assumptions": [str(line) for line in assumptions] if isinstance(assumptions, list) else [],
    }


def flatten(value: Any, prefix: str = "") -> list[Row]:
    """Nested objects and lists of objects as rows of a dotted key and a value."""
    if isinstance(value, dict) and value:
        return [
            row
            for key, item in value.items()
            for row in flatten(item, f"{prefix}.{key}" if prefix else str(key))
        ]
    if isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        if all(isinstance(item, dict) and _flat(item) for item in value):
            return [(f"{prefix}[{index}]", plain(item)) for index, item in enumerate(value)]
        return [row for index, item in enumerate(value) for row in flatten(item, f"{prefix}[{index}]")]
    return [(prefix, plain(value))]


def _flat(item: dict[str, Any]) -> bool:
    return not any(isinstance(part, (dict, list)) for part in item.values())


def plain(value: Any) -> str:
    """Any JSON value as short text."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(plain(item) for item in value) or "–"
    if isinstance(value, dict):
        return ", ".join(f"{key} {plain(item)}" for key, item in value.items()) or "–"
    return str(value)


def fixed(value: Any, places: int) -> str:
    """A number with fixed places, a dash where there is none."""
    return f"{value:.{places}f}" if isinstance(value, (int, float)) else "–"
