"""What every setting of a defense left and cost, from the finished folder of a sweep that tried them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from logitleak.files.storage import read_json, write_json
from logitleak.formats import DefendFile, ResultFile
from logitleak.formats.reading import read_file
from logitleak.metrics.leak import rounded
from logitleak.metrics.paired import paired_difference
from logitleak.stages.defended import promised
from logitleak.sweep.compute import failure_of, folder_of
from logitleak.sweep.defend import AXIS, NONE
from logitleak.sweep.image_leak import image_leak, is_shown
from logitleak.sweep.recommend import HIDDEN, KEPT, recommend
from logitleak.sweep.table import CLAIMS, Claim, area_by, table
from logitleak.sweep.tried import TriedFederation
from logitleak.wire.transcript import Transcript

FORMAT = 1

_IDENTITY, _RECORDS = "identity", "never-queried"


def write_frontier(out: Path) -> dict[str, Any]:
    """Gather ``defend.json`` of a sweep's folder, and write it."""
    plan, rows = read_json(out / "sweep.json"), table(out)
    known = plan["grid"][AXIS]
    # in the order of the grid, which a file does not keep
    settings = dict.fromkeys(row["axes"][AXIS] for row in rows)
    federations = {
        setting: [
            TriedFederation(out, int(row["axes"]["seed"]), row["federation"])
            for row in _once(row for row in rows if row["axes"][AXIS] == setting)
        ]
        for setting in settings
    }
    plain = {one.seed: one for one in federations[NONE]}
    lines = [
        _line(
            out, setting, known[setting]["defenses"], federations[setting], plain,
            [row for row in rows if row["axes"][AXIS] == setting],
        )
        for setting in settings
    ]  # fmt: skip
    metrics = next((one.metrics for all in federations.values() for one in all if one.metrics), {})
    bought = lines[0]["gain"]
    measure = (metrics.get("game") or {}).get("measure", "success")
    for line in lines:
        for leak in line["leaks"].values():
            leak["shown"] = is_shown(leak, measure)
    config = metrics.get("config") or {
        "noun": "person",
        "federation": {"scheme": "", "clients": 0, "rounds": 0},
    }
    found = {
        "format": FORMAT,
        "title": plan["title"],
        "noun": config["noun"],
        "seeds": sorted(plain),
        "scheme": config["federation"]["scheme"],
        "clients": config["federation"]["clients"],
        "rounds": config["federation"]["rounds"],
        "targets": (metrics.get("data") or {}).get("targets", 0),
        "versions": metrics.get("versions", {}),
        "measure": measure,
        "fast": all(one.audit.get("fast", True) for all in federations.values() for one in all),
        "bought": bought,
        "hidden": HIDDEN,
        "kept": KEPT,
        "lines": lines,
        "recommendation": recommend(lines, bought),
    }
    write_json(out / "defend.json", DefendFile.checked(found))
    return found


def _once(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row of each federation."""
    return list({row["federation"]: row for row in rows}.values())


def _line(
    out: Path,
    setting: str,
    defenses: list[dict[str, Any]],
    federations: Sequence[TriedFederation],
    plain: dict[int, TriedFederation],
    rows: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """Everything about one setting."""
    done = [one for one in federations if one.metrics]
    named = [one.metrics["identity"] or {} for one in done]
    claim = next((claim for claim in CLAIMS if any(area_by(one, claim) for one in named)), CLAIMS[0])
    identity = [area for one in named if (area := area_by(one, claim))]
    ours = {one.seed: one.right(one.predicted.get("clients")) for one in done}
    # without defense there are the same coins, so the same images count
    bare = {one.seed: plain[one.seed] for one in done if one.seed in plain}
    alone = [(ours[seed], other.right(other.alone)) for seed, other in bare.items()]
    undefended = [(ours[seed], other.right(other.predicted.get("clients"))) for seed, other in bare.items()]
    sent = [row["bytes_per_client_round"] for row in rows if row["bytes_per_client_round"] is not None]
    seconds = [one.seconds for one in done if one.seconds is not None]
    image = "owner" if done and _about_a_client(done[0]) else "chosen"
    leaks = {}
    for name in dict.fromkeys(row["axes"]["attack"] for row in rows):
        mine = [row for row in rows if row["axes"]["attack"] == name and row["status"] == "finished"]
        if leak := image_leak([_found(out, row) for row in mine], image):
            leaks[name] = leak
    said = promised(Transcript(done[0].run.worlds[0].path)) if done else {}
    records = _mean(done, _RECORDS)
    return {
        "setting": setting,
        "defenses": defenses,
        "missing": _missing(federations, rows),
        "leaks": leaks,
        "identity": _pooled(identity, "server", "all rounds", claim),
        "strongest": _strongest(done),
        "records": records[0] if records else None,
        # of the first seed: the largest of several would have to be paid for
        "epsilon": _bound(done[0]) if done else None,
        "promised": said,
        "accuracy": _rounded([_mean_of(right) for right in ours.values()]),
        "server": _rounded([_mean_of(one.right(one.predicted.get("server"))) for one in done]),
        "own": _rounded([one.right_of_own() for one in done]),
        "gain": _difference(alone),
        "loss": _difference(undefended) if setting != NONE else None,
        "bytes": round(fmean(sent)) if sent else None,
        "seconds": round(fmean(seconds), 1) if seconds else None,
    }


def _difference(pairs: Sequence[tuple[Tensor | None, Tensor | None]]) -> dict[str, Any] | None:
    """Over the images of all seeds of which both are known."""
    known = [(one, other) for one, other in pairs if one is not None and other is not None]
    if not known:
        return None
    ours, theirs = (torch.cat(side).tolist() for side in zip(*known, strict=True))
    return dict(rounded(dict(paired_difference(ours, theirs))))


def _about_a_client(one: TriedFederation) -> bool:
    """Whether a coin was about one client, so that its image counts and not the one that an attack chose."""
    return ((one.metrics["game"] or {}).get("unit") or "person") != "person"


def _found(out: Path, row: dict[str, Any]) -> dict[str, Any] | None:
    """What the game says of a finished cell's attack; None where none was played."""
    leak: dict[str, Any] | None = read_file(folder_of(out, "cell", row["id"]) / "result.json", ResultFile)[
        "leak"
    ]
    return leak


def _pooled(
    areas: Sequence[dict[str, Any]], onlooker: str, variant: str, claim: Claim
) -> dict[str, Any] | None:
    """The mean over seeds. What their intervals leave below adds up as independent errors do, and so does what they
    leave above, since an area's interval is no symmetric one (Zou and Donner, 2008): a single seed keeps its own."""
    if not areas:
        return None
    value = fmean(area["value"] for area in areas)
    below = math.hypot(*(area["value"] - area["low"] for area in areas)) / len(areas)
    above = math.hypot(*(area["high"] - area["value"] for area in areas)) / len(areas)
    found = {"value": value, "low": max(0.0, value - below), "high": min(1.0, value + above)}
    seeds = [area["value"] for area in areas]
    return {**rounded(found), "seeds": seeds, "onlooker": onlooker, "variant": variant, "claim": claim}


def _mean(federations: Sequence[TriedFederation], audit: str) -> list[dict[str, Any]]:
    """Every score of an audit that all seeds have, by each claim, in the order of the first."""
    found = [one.results(audit) for one in federations if one.audit]
    if not found:
        return []
    pooled = [
        _pooled([area_by(each[name], claim) for each in found], *name, claim)
        for claim in CLAIMS
        for name in found[0]
        if all(area_by(each.get(name, {}), claim) for each in found)
    ]
    return [one for one in pooled if one is not None]


def _strongest(federations: Sequence[TriedFederation]) -> dict[str, Any] | None:
    """Whichever score of identities is farthest from one half, over all onlookers, rounds and claims."""
    return max(_mean(federations, _IDENTITY), key=lambda area: abs(area["value"] - 0.5), default=None)


def _bound(one: TriedFederation) -> float | None:
    """The lower bound on ε of the first audit that has one, by the score that was named beforehand, for who sees
    most."""
    for audit in (_IDENTITY, _RECORDS):
        named = next(iter(one.results(audit).values()), {})
        bound: float | None = (named.get("epsilon") or {}).get("bound")
        if bound is not None:
            return bound
    return None


def _missing(federations: Sequence[TriedFederation], rows: Sequence[dict[str, Any]]) -> list[str]:
    """What is not there, and why."""
    said = [
        f"{row['axes']['attack']}, seed {row['axes']['seed']}: {row['error'] or 'not computed yet'}"
        for row in rows
        if row["status"] != "finished"
    ]
    return said + [
        f"audit, seed {one.seed}: {failure_of(one.folder) or 'not computed yet'}"
        for one in federations
        if one.metrics and not one.audit
    ]


def _mean_of(right: Tensor | None) -> float | None:
    return None if right is None else float(right.mean())


def _rounded(values: Sequence[float | None]) -> float | None:
    """The mean of those that are known."""
    known = [value for value in values if value is not None]
    return round(fmean(known), 6) if known else None
