"""What is told of a run, or of each finished cell of a sweep: settings and plain numbers, and no image."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from logitleak.errors import UserError
from logitleak.files import yaml_text
from logitleak.files.storage import read_json

Numbers = dict[str, float]

_SHARES = ("accuracy", "too_close_to_public", "owner_named")


@dataclass(frozen=True)
class Record:
    """One run of a tracker.

    Attributes:
        name: what it is called.
        settings: dotted keys of the configuration, or the axes of a sweep, with their values.
        tags: what it can be found by.
        numbers: what was measured in the end, by names such as ``gap/leak``.
        rounds: what was measured after each round.
    """

    name: str
    settings: dict[str, Any]
    tags: dict[str, str]
    numbers: Numbers
    rounds: dict[int, Numbers] = field(default_factory=dict)


def records(folder: Path) -> list[Record]:
    """What there is to tell of the folder of a run, or of a sweep: there each finished cell.

    Raises:
        UserError: it is neither, or nothing in it is finished.
    """
    if (folder / "sweep.json").is_file():
        found = list(_cells(folder))
        if not found:
            raise UserError(f"No cell of {folder} is finished; give `logitleak sweep` with this --out again.")
        return found
    if not (folder / "config.yaml").is_file():
        raise UserError(f"{folder} is neither the folder of a run nor of a sweep.")
    if not (folder / "metrics.json").is_file():
        raise UserError(f"{folder} has no numbers yet; finish it with `logitleak run` or `logitleak report`.")
    return [_run(folder)]


def _run(folder: Path) -> Record:
    metrics = read_json(folder / "metrics.json")
    timings = read_json(folder / "timings.json") if (folder / "timings.json").is_file() else {}
    config = yaml_text.parse((folder / "config.yaml").read_text(encoding="utf-8"))
    numbers = {f"time/{key}": value for key, value in timings.items()}
    rounds: dict[int, Numbers] = {}
    for name, scored in metrics["attacks"].items():
        numbers |= {f"{name}/{key}": value for key, value in _attack(scored).items()}
        for entry in scored.get("rounds") or []:
            told = _shares(entry) | {"ssim": entry.get("ssim")}
            _add(rounds, entry["round"], {f"{name}/round_{key}": value for key, value in told.items()})
        for entry in (scored.get("leak") or {}).get("rounds") or []:
            leak = ((entry.get("chosen") or {}).get("leak") or {}).get("value")
            _add(rounds, entry["round"], {f"{name}/round_leak": leak})
    utility = metrics.get("utility") or {}
    numbers |= {
        "utility/server": (utility.get("server") or {}).get("value"),
        "utility/clients": _mean([share["value"] for share in utility.get("clients") or [] if share]),
    }
    for entry in utility.get("rounds") or []:
        clients = _mean([value for value in entry.get("clients") or [] if value is not None])
        told = {"utility/round_server": entry.get("server"), "utility/round_clients": clients}
        _add(rounds, entry["round"], told)
    sent = (metrics.get("federation") or {}).get("bytes") or []
    numbers["federation/bytes_received"] = sum(row["received"] for row in sent) if sent else None
    for row in sent:
        before = rounds.get(row["round"], {}).get("federation/bytes_round", 0)
        _add(rounds, row["round"], {"federation/bytes_round": before + row["received"]})
    return Record(
        folder.resolve().name,
        dict(_flat(config)),
        _tags(metrics),
        _known(numbers),
        dict(sorted(rounds.items())),
    )


def _attack(scored: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of one attack after the last round, with the intervals of what matters."""
    numbers = _shares(scored) | dict(scored.get("mean") or {})
    accuracy, leak = scored.get("accuracy") or {}, scored.get("leak") or {}
    numbers |= {f"accuracy_{end}": accuracy.get(end) for end in ("low", "high")}
    chosen, owner = leak.get("chosen") or {}, leak.get("owner") or {}
    found = chosen.get("leak") or {}
    return numbers | {
        "leak": found.get("value"),
        "leak_low": found.get("low"),
        "leak_high": found.get("high"),
        "leak_p": found.get("p"),
        "leak_p_holm": leak.get("p_holm"),
        "in": (chosen.get("in") or {}).get("value"),
        "out": (chosen.get("out") or {}).get("value"),
        "wins": (chosen.get("wins") or {}).get("value"),
        "auc": (chosen.get("auc") or {}).get("value"),
        "ssim_in": (chosen.get("ssim") or {}).get("in"),
        "ssim_out": (chosen.get("ssim") or {}).get("out"),
        "owner_leak": (owner.get("leak") or {}).get("value"),
    }


def _shares(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: (entry.get(name) or {}).get("value") for name in _SHARES}


def _tags(metrics: Mapping[str, Any]) -> dict[str, str]:
    primary = ((metrics.get("game") or {}).get("primary") or {}).get("attack")
    told = {
        "logitleak": (metrics.get("versions") or {}).get("logitleak"),
        "config_hash": metrics.get("config_hash"),
        "scheme": (metrics.get("threat_model") or {}).get("scheme"),
        "data": (metrics.get("data") or {}).get("source"),
        "synthetic": (metrics.get("data") or {}).get("synthetic"),
        "game": (metrics.get("game") or {}).get("design"),
        "primary": primary,
    }
    return {name: str(value) for name, value in told.items() if value is not None}


def _cells(folder: Path) -> Iterator[Record]:
    """A record for every finished line of the table; the columns that are numbers are its numbers."""
    text = (folder / "table.jsonl").read_text(encoding="utf-8") if (folder / "table.jsonl").is_file() else ""
    for row in map(json.loads, text.splitlines()):
        if row["status"] != "finished":
            continue
        settings = {**row["axes"], "seed": row["seed"]}
        told = {"axes", "status", "error", "seed"}
        numbers = {name: value for name, value in row.items() if name not in told}
        name = ", ".join(f"{key}={value}" for key, value in settings.items())
        tags = {"cell": str(row["id"]), "federation": str(row["federation"])}
        yield Record(name, settings, tags, _known(numbers))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested keys as dotted ones."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _add(rounds: dict[int, Numbers], round: int, told: Mapping[str, Any]) -> None:
    rounds.setdefault(round, {}).update(_known(told))


def _known(numbers: Mapping[str, Any]) -> Numbers:
    """What is a number; what nobody measured is left out, and so is text."""
    return {
        name: float(value)
        for name, value in numbers.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    }


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
