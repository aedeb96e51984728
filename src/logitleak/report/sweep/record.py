"""The end of a sweep's report: every cell, the rivals, the threat models, what was tuned, and how long it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from logitleak.report.parts.load import rows, table
from logitleak.report.parts.words import percent, points, size
from logitleak.report.run.page import Row, fixed, flatten, plain
from logitleak.report.sweep.load import NONE, SCHEMES, Cell, Sweep, spelled
from logitleak.report.sweep.pooling import clustered, ordered

NUMBERS = {
    "accuracy": ("accuracy", percent),
    "too_close": ("too close", percent),
    "owner_named": ("owner named", percent),
    "ssim": ("SSIM", lambda value: fixed(value, 3)),
    "psnr": ("PSNR, dB", lambda value: fixed(value, 1)),
    "mse": ("MSE", lambda value: fixed(value, 4)),
    "tv": ("TV", lambda value: fixed(value, 3)),
    "prior_accuracy": ("prior alone", lambda value: percent(value)),
    "prior_ssim": ("prior SSIM", lambda value: fixed(value, 3)),
    "utility_server": ("utility, server", percent),
    "utility_clients": ("utility, clients", percent),
    "bytes_per_client_round": ("bytes per client and round", size),
    "seconds": ("attack, s", lambda value: fixed(value, 1)),
}
"""Columns of the full table: what they are called and how they are written."""


def full_table(sweep: Sweep) -> dict[str, Any]:
    """Every cell with all of its axes and numbers; `key` is what a column is sorted by."""
    return {
        "axes": sweep.axes,
        "numbers": [name for name, _ in NUMBERS.values()],
        "lines": [
            {
                "labels": [
                    spelled(axis, label) for axis, label in zip(sweep.axes, cell.on(sweep.axes), strict=True)
                ],
                "status": cell.status,
                "numbers": [
                    {"text": NONE, "key": ""}
                    if cell.row.get(key) is None
                    else {"text": write(cell.row[key]), "key": cell.row[key]}
                    for key, (_, write) in NUMBERS.items()
                ],
                "interval": _interval(cell),
            }
            for cell in sweep.cells
        ],
    }


def _interval(cell: Cell) -> str:
    low, high = cell.row.get("low"), cell.row.get("high")
    return NONE if low is None or high is None else f"{low * 100:.0f}–{high * 100:.0f}"


def failed(sweep: Sweep) -> list[dict[str, str]]:
    """The cells that failed, with their reason."""
    return [
        {
            "cell": sweep.phrase(*_places(sweep, cell)),
            "reason": str(cell.row.get("error") or "no reason was noted"),
        }
        for cell in sweep.cells
        if cell.status == "failed"
    ]


def _places(sweep: Sweep, cell: Cell) -> tuple[list[str], list[str]]:
    axes = [axis for axis in sweep.axes if axis in cell.axes]
    return axes, [cell.axes[axis] for axis in axes]


def federation_axes(sweep: Sweep) -> list[str]:
    """The axes that tell federations apart, but for the seed: an attack's own vary within one federation."""
    groups: dict[str, list[Cell]] = {}
    for cell in sweep.cells:
        groups.setdefault(cell.federation, []).append(cell)
    return [
        axis
        for axis in sweep.axes
        if axis not in ("attack", "seed")
        and len(sweep.labels(axis)) > 1
        and all(len({cell.axes.get(axis) for cell in group}) == 1 for group in groups.values())
    ]


def rivals(sweep: Sweep) -> dict[str, Any]:
    """What guesses without any logits reach, on each kind of federation, pooled over seeds."""
    axes = federation_axes(sweep)
    lines = []
    for labels, cells in ordered(sweep, sweep.cells, axes).items():
        metrics = [sweep.metrics(id) for id in dict.fromkeys(cell.federation for cell in cells)]
        known = [one for one in metrics if one]
        for name in dict.fromkeys(name for one in known for name in table(one, "attacks")):
            entries = [table(table(one, "attacks"), name) for one in known]
            if line := _rival([one for one in entries if one.get("kind") == "rival"]):
                said = [spelled(axis, label) for axis, label in zip(axes, labels, strict=True)]
                chance = table(known[0], "data").get("chance")
                shown = NONE if chance is None else percent(chance)
                lines.append({"labels": said, "name": name, "chance": shown, **line})
    return {"axes": axes, "lines": lines}


def _rival(entries: Sequence[dict[str, Any]]) -> dict[str, str] | None:
    shares = [share for share in (table(one, "accuracy") for one in entries) if share.get("trials")]
    if not shares:
        return None
    successes, trials = (sum(share[key] for share in shares) for key in ("successes", "trials"))
    found = clustered(successes, trials, trials)
    low, high = found["low"], found["high"]
    means = [table(one, "mean").get("ssim") for one in entries]
    ssims = [value for value in means if value is not None]
    return {
        "accuracy": percent(successes / trials),
        "count": f"{successes}/{trials}",
        "interval": f"{low * 100:.0f}–{high * 100:.0f}",
        "ssim": fixed(sum(ssims) / len(ssims), 3) if ssims else NONE,
    }


def threats(sweep: Sweep) -> list[dict[str, Any]]:
    """The threat model of every scheme, with and without each defense, as its first federation states it."""
    found: dict[str, dict[str, Any]] = {}
    for id in sweep.federations():
        metrics = sweep.metrics(id)
        threat = table(metrics, "threat_model")
        if threat:
            scheme = str(threat.get("scheme") or "scheme not stated")
            defenses = [_defense(entry) for entry in rows(table(metrics, "config"), "defenses")]
            title = " with ".join([SCHEMES.get(scheme, scheme), *defenses[:1]])
            found.setdefault(", then ".join([title, *defenses[1:]]), threat)
    return [{**threat, "scheme": scheme} for scheme, threat in found.items()]


def _defense(entry: dict[str, Any]) -> str:
    """An entry of a configuration's defenses, with what was set."""
    settings = ", ".join(f"{name} {value}" for name, value in table(entry, "settings").items())
    clients = entry.get("clients")
    who = f" at clients {', '.join(map(str, clients))}" if isinstance(clients, list) else ""
    return f"{entry.get('name')}{f' ({settings})' if settings else ''}{who}"


def tuned(sweep: Sweep) -> list[dict[str, Any]]:
    """For every cell whose settings were chosen on mock targets: the candidates, their scores and the choice."""
    lines: list[dict[str, Any]] = []
    for cell in sweep.cells:
        account = table(table(sweep.result(cell), "choices"), "tuned on public data")
        where = sweep.phrase(*_places(sweep, cell))
        if account.get("not tuned"):
            lines.append(
                {"cell": where, "setting": NONE, "candidates": [], "why": plain(account["not tuned"])}
            )
        for setting in account:
            candidates = [
                {
                    "value": plain(one.get("value")),
                    "score": _score(one),
                    "chosen": bool(one.get("chosen")),
                }
                for one in rows(account, setting)
            ]
            if candidates:
                lines.append({"cell": where, "setting": setting, "candidates": candidates, "why": ""})
    return lines


def _score(candidate: Mapping[str, Any]) -> str:
    """What a candidate was judged by: its wins or its leak on mock twins, or its accuracy on mock targets."""
    if candidate.get("wins") is not None:
        return f"wins {percent(candidate['wins'])}"
    if candidate.get("leak") is not None:
        return f"leak {points(candidate['leak'])}"
    if candidate.get("accuracy") is not None:
        return f"{percent(candidate['accuracy'])}, SSIM {fixed(candidate.get('ssim'), 3)}"
    return NONE


def timings(sweep: Sweep) -> list[Row]:
    """What all of it took."""
    attacks = sum(cell.row.get("seconds") or 0 for cell in {c.id: c for c in sweep.cells}.values())
    times = [sweep.timings(id) for id in sweep.federations()]
    federations = sum(one.get("federation_seconds") or 0 for one in times)
    memory = [one["peak_memory_mib"] for one in times if one.get("peak_memory_mib") is not None]
    listed = [("All attacks", _duration(attacks)), ("All federations", _duration(federations))]
    return [*listed, *([("Peak memory of a federation", f"{max(memory):,} MiB")] if memory else [])]


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"


def plan(sweep: Sweep) -> list[tuple[str, list[Row]]]:
    """The axes with all that their labels stand for, and the base that every cell starts from."""
    return [("Axes", flatten(sweep.grid)), ("Base", flatten(sweep.base or {}))]
