"""What every setting of a defense left and cost, from the finished folder of a sweep that tried them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from scipy import stats
from torch import Tensor

from logitleak.files.storage import read_json, read_tensors, write_json
from logitleak.formats import DefendFile
from logitleak.metrics.leak import rounded, significant
from logitleak.metrics.paired import paired_difference, paired_leak
from logitleak.sealed.files import read_game, read_truth
from logitleak.sealed.game import taking_part
from logitleak.stages.defended import promised
from logitleak.stages.folder import RunFolder
from logitleak.sweep.compute import failure_of, folder_of
from logitleak.sweep.defend import AXIS, NONE
from logitleak.sweep.recommend import HIDDEN, KEPT, recommend
from logitleak.sweep.table import table
from logitleak.wire.transcript import Transcript

FORMAT = 1

_IDENTITY, _RECORDS = "identity", "never-queried"
_LEVEL = 0.05


def write_frontier(out: Path) -> dict[str, Any]:
    """Gather ``defend.json`` of a sweep's folder, and write it."""
    plan, rows = read_json(out / "sweep.json"), table(out)
    known = plan["grid"][AXIS]
    settings = dict.fromkeys(
        row["axes"][AXIS] for row in rows
    )  # in the order of the grid, which a file does not keep
    federations = {
        setting: [
            _Federation(out, int(row["axes"]["seed"]), row["federation"])
            for row in _once(row for row in rows if row["axes"][AXIS] == setting)
        ]
        for setting in settings
    }
    plain = {one.seed: one for one in federations[NONE]}
    lines = [
        _line(
            setting, known[setting]["defenses"], federations[setting], plain,
            [row for row in rows if row["axes"][AXIS] == setting],
        )
        for setting in settings
    ]  # fmt: skip
    metrics = next((one.metrics for all in federations.values() for one in all if one.metrics), {})
    bought = lines[0]["gain"]
    measure = (metrics.get("game") or {}).get("measure", "success")
    for line in lines:
        for leak in line["leaks"].values():
            leak["shown"] = _shown(leak, measure)
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


@dataclass
class _Federation:
    """The folder of one federation, and what was found of it; what is not there is empty."""

    sweep: Path
    seed: int
    id: str

    def __post_init__(self) -> None:
        self.folder = folder_of(self.sweep, "federation", self.id)
        self.run = RunFolder(self.folder)
        self.metrics = self._read("metrics.json")
        self.audit = self._read("audit.json")
        self.seconds = self._read("timings.json").get("federation_seconds") if self.metrics else None

    def _read(self, name: str) -> dict[str, Any]:
        file = self.folder / name
        found: dict[str, Any] = read_json(file) if file.exists() else {}
        return found

    def right(self, who: str, file: Path | None = None) -> Tensor | None:
        """Of every held-out image of a class that private images of the first world show, which share of ``who`` say
        what it shows, float64 [n]. Images of other classes would say what public images taught.

        Args:
            who: "clients", "server" or "alone".
            file: where it is said; by default what was predicted after the last round.
        """
        file = file or self.run.predicted
        if not self.metrics or not file.exists():
            return None
        truth, game = read_truth(self.run.sealed), read_game(self.run.sealed)
        used, kept = taking_part(truth, game)
        labels = truth.held_labels[kept]
        private = torch.isin(labels, truth.labels[used])
        if not bool(private.any()):
            return None
        said = read_tensors(file)[who]
        return torch.atleast_2d(said == labels)[:, private].double().mean(0)

    def right_of_own(self) -> float | None:
        """Of the held-out images of the classes that a client holds in the first world, the share that it is right
        about, in the mean over clients that hold any."""
        if not self.metrics or not self.run.predicted.exists():
            return None
        truth, game = read_truth(self.run.sealed), read_game(self.run.sealed)
        used, kept = taking_part(truth, game)
        labels = truth.held_labels[kept]
        shares = []
        for client, said in enumerate(read_tensors(self.run.predicted)["clients"]):
            mine = torch.isin(labels, truth.client(client, used).labels)
            if bool(mine.any()):
                shares.append(float((said == labels)[mine].double().mean()))
        return fmean(shares) if shares else None

    def results(self, audit: str) -> dict[tuple[str, str], dict[str, Any]]:
        """What an audit found, by onlooker and variant, the strongest onlooker's primary first."""
        question: dict[str, Any] = next(
            (one for one in self.audit.get("audits", []) if one["audit"] == audit), {"views": []}
        )
        return {
            (seen["onlooker"], result["variant"]): result
            for seen in question["views"]
            for result in seen["variants"]
        }


def _line(
    setting: str,
    defenses: list[dict[str, Any]],
    federations: Sequence[_Federation],
    plain: dict[int, _Federation],
    rows: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """Everything about one setting."""
    done = [one for one in federations if one.metrics]
    identity = [_area(one.metrics["identity"] or {}) for one in done]
    own = [found for one in done if (found := one.right("clients")) is not None]
    server = [found for one in done if (found := one.right("server")) is not None]
    alone, undefended = (
        [pair for one in done if (pair := _beside(one, plain.get(one.seed), who))]
        for who in ("alone", "clients")
    )
    sent = [row["bytes_per_client_round"] for row in rows if row["bytes_per_client_round"] is not None]
    seconds = [one.seconds for one in done if one.seconds is not None]
    leaks = {}
    for name in dict.fromkeys(row["axes"]["attack"] for row in rows):
        mine = [row for row in rows if row["axes"]["attack"] == name and row["status"] == "finished"]
        if leak := _leak(mine):
            leaks[name] = leak
    said = promised(Transcript(done[0].run.worlds[0].path)) if done else {}
    records = _mean(done, _RECORDS)
    return {
        "setting": setting,
        "defenses": defenses,
        "missing": _missing(federations, rows),
        "leaks": leaks,
        "identity": _pooled([area for area in identity if area], "server", "all rounds"),
        "strongest": _strongest(done),
        "records": records[0] if records else None,
        "epsilon": max((bound for one in done for bound in _bounds(one)), default=None),
        "promised": said,
        "accuracy": _rounded([float(found.mean()) for found in own]),
        "server": _rounded([float(found.mean()) for found in server]),
        "own": _rounded([share for one in done if (share := one.right_of_own()) is not None]),
        "gain": _difference(alone),
        "loss": _difference(undefended) if setting != NONE else None,
        "bytes": round(fmean(sent)) if sent else None,
        "seconds": round(fmean(seconds), 1) if seconds else None,
    }


def _beside(one: _Federation, other: _Federation | None, who: str) -> tuple[Tensor, Tensor] | None:
    """How many clients are right on every image, here and in the federation without defense of the same seed: its
    clients, or its clients alone. Both have the same coins, so the same images count."""
    if other is None:
        return None
    found = one.right("clients")
    against = other.right(who, other.run.baselines if who == "alone" else None)
    return None if found is None or against is None else (found, against)


def _difference(pairs: Sequence[tuple[Tensor, Tensor]]) -> dict[str, Any] | None:
    """Over the images of all seeds."""
    if not pairs:
        return None
    ours, theirs = (torch.cat(side).tolist() for side in zip(*pairs, strict=True))
    return dict(rounded(dict(paired_difference(ours, theirs)))) if ours else None


def _leak(rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Of one attack; pairs are pooled over targets and seeds."""
    if not rows or any(row["ties"] is None for row in rows):  # no game was played
        return None
    counts = {name: [row[name] for row in rows] for name in ("both", "only_in", "only_out", "neither")}
    found: dict[str, Any] = {"value": None, "low": None, "high": None, "p": None}
    if all(count is not None for column in counts.values() for count in column):
        both, only_in, only_out, neither = (sum(column) for column in counts.values())
        leak = paired_leak(
            [True] * (both + only_in) + [False] * (only_out + neither),
            [True] * both + [False] * only_in + [True] * only_out + [False] * neither,
        )
        found = {key: significant(leak[key]) for key in found}  # type: ignore[literal-required]
    of = sum(row["targets"] - row["ties"] for row in rows)
    won = round(sum(row["wins"] * (row["targets"] - row["ties"]) for row in rows if row["wins"] is not None))
    p = float(stats.binomtest(won, of, 0.5).pvalue) if of else 1.0
    return found | {"wins": won, "of": of, "wins_p": significant(p), "shown": False}


def _shown(leak: dict[str, Any], measure: str) -> bool:
    """Whether private images are shown to change what comes back, by what the game is decided by."""
    if measure == "wins" or leak["value"] is None:
        return bool(leak["wins_p"] < _LEVEL and 2 * leak["wins"] > leak["of"])
    return bool(leak["low"] > 0 and leak["p"] < _LEVEL)


def _area(result: dict[str, Any]) -> dict[str, Any]:
    """By the coins of a game, or else among clients; empty where there is none."""
    found: dict[str, Any] = (result.get("game") or result.get("clients") or {}).get("area") or {}
    return found


def _pooled(areas: Sequence[dict[str, Any]], onlooker: str, variant: str) -> dict[str, Any] | None:
    """The mean over seeds; the halves of their intervals add up as independent errors do."""
    if not areas:
        return None
    value = fmean(area["value"] for area in areas)
    half = math.sqrt(sum(((area["high"] - area["low"]) / 2) ** 2 for area in areas)) / len(areas)
    found = {"value": value, "low": max(0.0, value - half), "high": min(1.0, value + half)}
    seeds = [area["value"] for area in areas]
    return {**rounded(found), "seeds": seeds, "onlooker": onlooker, "variant": variant}


def _mean(federations: Sequence[_Federation], audit: str) -> list[dict[str, Any]]:
    """Every score of an audit that all seeds have, in the order of the first."""
    found = [one.results(audit) for one in federations if one.audit]
    if not found:
        return []
    shared = [name for name in found[0] if all(_area(each.get(name, {})) for each in found)]
    pooled = [_pooled([_area(each[name]) for each in found], *name) for name in shared]
    return [one for one in pooled if one is not None]


def _strongest(federations: Sequence[_Federation]) -> dict[str, Any] | None:
    """Whichever score of identities is farthest from one half, over all onlookers and rounds."""
    return max(_mean(federations, _IDENTITY), key=lambda area: abs(area["value"] - 0.5), default=None)


def _bounds(one: _Federation) -> list[float]:
    """Lower bounds on ε, of scores that were named beforehand."""
    results = [result for audit in (_IDENTITY, _RECORDS) for result in one.results(audit).values()]
    bounds = [(result.get("epsilon") or {}).get("bound") for result in results]
    return [bound for bound in bounds if bound is not None]


def _missing(federations: Sequence[_Federation], rows: Sequence[dict[str, Any]]) -> list[str]:
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


def _rounded(values: Sequence[float]) -> float | None:
    return round(fmean(values), 6) if values else None
