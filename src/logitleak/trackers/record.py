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
from logitleak.formats import Metrics, TimingsFile
from logitleak.formats.reading import read_file

Numbers = dict[str, float]

_OF_ROUNDS = ("accuracy", "too_close_to_public")
_SHARES = (*_OF_ROUNDS, "owner_named")


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
        UserError: it is neither, nothing in it is finished, or a file is damaged.
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
    metrics = read_file(folder / "metrics.json", Metrics)
    times = folder / "timings.json"
    timings = read_file(times, TimingsFile) if times.is_file() else {}
    config = yaml_text.parse((folder / "config.yaml").read_text(encoding="utf-8"))
    numbers = {f"time/{key}": value for key, value in timings.items()}
    rounds: dict[int, Numbers] = {}
    for name, scored in metrics["attacks"].items():
        numbers |= {f"{name}/{key}": value for key, value in _attack(scored).items()}
        for entry in scored["rounds"]:
            told = {name: entry[name]["value"] for name in _OF_ROUNDS} | {"ssim": entry["ssim"]}
            _add(rounds, entry["round"], {f"{name}/round_{key}": value for key, value in told.items()})
        for entry in scored["leak"]["rounds"] if scored["leak"] else []:
            _add(rounds, entry["round"], {f"{name}/round_leak": entry["chosen"]["leak"]["value"]})
    utility = metrics["utility"] or {"server": None, "clients": [], "rounds": []}
    numbers |= {
        "utility/server": (utility["server"] or {}).get("value"),
        "utility/clients": _mean([share["value"] for share in utility["clients"] if share]),
    }
    for entry in utility["rounds"]:
        clients = _mean([value for value in entry["clients"] if value is not None])
        told = {"utility/round_server": entry["server"], "utility/round_clients": clients}
        _add(rounds, entry["round"], told)
    sent = metrics["federation"]["bytes"]
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
    numbers: dict[str, Any] = {name: (scored[name] or {}).get("value") for name in _SHARES}
    numbers |= scored["mean"] or {}
    numbers |= {f"accuracy_{end}": (scored["accuracy"] or {}).get(end) for end in ("low", "high")}
    leak = scored["leak"]
    if leak is None:
        return numbers
    chosen, owner = leak["chosen"], leak["owner"]
    found = chosen["leak"]
    return numbers | {
        "leak": found["value"],
        "leak_low": found["low"],
        "leak_high": found["high"],
        "leak_p": found["p"],
        "leak_p_holm": leak["p_holm"],
        "in": chosen["in"]["value"],
        "out": chosen["out"]["value"],
        "wins": (chosen["wins"] or {}).get("value"),
        "auc": (chosen["auc"] or {}).get("value"),
        "ssim_in": chosen["ssim"]["in"],
        "ssim_out": chosen["ssim"]["out"],
        "owner_leak": owner and owner["leak"]["value"],
    }


def _tags(metrics: Mapping[str, Any]) -> dict[str, str]:
    game = metrics["game"] or {"design": None, "primary": None}
    told = {
        "logitleak": metrics["versions"].get("logitleak"),
        "config_hash": metrics["config_hash"],
        "scheme": metrics["threat_model"]["scheme"],
        "data": metrics["data"]["source"],
        "synthetic": metrics["data"]["synthetic"],
        "game": game["design"],
        "primary": game["primary"] and game["primary"]["attack"],
    }
    return {name: str(value) for name, value in told.items() if value is not None}


def _cells(folder: Path) -> Iterator[Record]:
    """A record for every finished line of the table; the columns that are numbers are its numbers."""
    text = (folder / "table.jsonl").read_text(encoding="utf-8") if (folder / "table.jsonl").is_file() else ""
    for number, line in enumerate(text.splitlines(), 1):
        try:
            row = json.loads(line)
            status, settings = row["status"], {**row["axes"], "seed": row["seed"]}
            tags = {"cell": str(row["id"]), "federation": str(row["federation"])}
        except (ValueError, TypeError, KeyError):
            raise UserError(
                f"{folder / 'table.jsonl'}, line {number}, is no cell of a sweep; give `logitleak sweep` with this "
                "--out again."
            ) from None
        if status != "finished":
            continue
        told = {"axes", "status", "error", "seed"}
        numbers = {name: value for name, value in row.items() if name not in told}
        name = ", ".join(f"{key}={value}" for key, value in settings.items())
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
