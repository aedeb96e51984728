"""The table of a sweep: a line for every cell, as CSV and as JSON lines."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any, Literal

from logitleak import registry
from logitleak.errors import UserError
from logitleak.files.storage import read_json, write_text
from logitleak.formats import Metrics, ResultFile
from logitleak.formats.reading import read_file
from logitleak.metrics.paired import TABLE
from logitleak.sweep.compute import failure_of, folder_of, seconds_of

COLUMNS = (
    "accuracy", "low", "high", "successes", "targets", "too_close", "owner_named", "ssim", "psnr", "mse", "tv",
    "out", "leak", "leak_low", "leak_high", "leak_p", "both", "only_in", "only_out", "neither", "wins", "ties",
    "out_targets", "out_units", "ssim_out", "owner_leak", "owner_wins", "owner_ties",
    "owner_both", "owner_only_in", "owner_only_out", "owner_neither",
    "prior_accuracy", "prior_ssim", "identity", "identity_low", "identity_high", "utility_server", "utility_clients",
    "bytes_per_client_round", "seconds", "plugin", "needs",
)  # fmt: skip
"""What is known of a finished cell; shares are in [0, 1]. ``out`` is of so many tries (``out_targets``) of so many
different targets (``out_units``). The last two are the registered attack and what it needs of a transcript, with spaces
between."""


Claim = Literal["game", "clients"]
CLAIMS: tuple[Claim, ...] = ("game", "clients")
"""What an area of an audit may be about: at one client, what took part against what did not, by the coins of a game; or
clients that hold what is asked about against those that do not."""


def write_table(out: Path) -> None:
    """Write ``table.csv`` and ``table.jsonl`` of what is there; cells that are not finished have no numbers."""
    rows = table(out)
    write_text(out / "table.jsonl", "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows))
    names = list(dict.fromkeys(name for row in rows for name in row["axes"]))
    seed = [] if "seed" in names else ["seed"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*names, *seed, "status", *COLUMNS, "id", "federation", "error"])
    for row in rows:
        axes = [row["axes"].get(name, "") for name in names]
        numbers = ["" if row[name] is None else row[name] for name in COLUMNS]
        ends = [row["id"], row["federation"], row["error"] or ""]
        writer.writerow([*axes, *(row[name] for name in seed), row["status"], *numbers, *ends])
    write_text(out / "table.csv", text.getvalue())


def table(out: Path) -> list[dict[str, Any]]:
    """A row for every cell of ``sweep.json``, in its order.

    Raises:
        UserError: this is no sweep's folder.
    """
    plan = read_json(out / "sweep.json")
    cells = plan.get("cells") if isinstance(plan, dict) else None
    if not isinstance(cells, list):
        raise UserError(f"{out / 'sweep.json'} lists no cells; give `logitleak sweep` with this --out again.")
    return [_row(out, cell) for cell in cells]


def _row(out: Path, cell: dict[str, Any]) -> dict[str, Any]:
    folder = folder_of(out, "cell", cell["id"])
    done = (folder / "result.json").exists()
    error = None if done else failure_of(folder)
    status = "finished" if done else "failed" if error else "missing"
    return {
        **cell, "status": status, "error": error,
        **(_numbers(out, cell, folder) if done else dict.fromkeys(COLUMNS)),
    }  # fmt: skip


def _numbers(out: Path, cell: dict[str, Any], folder: Path) -> dict[str, Any]:
    result = read_file(folder / "result.json", ResultFile)
    federation = read_file(folder_of(out, "federation", cell["federation"]) / "metrics.json", Metrics)
    accuracy, mean, prior = result["accuracy"], result["mean"], result["prior"]
    utility = federation["utility"] or {}
    clients = [share["value"] for share in utility.get("clients") or [] if share]
    sent = [row["received"] for row in federation["federation"]["bytes"]]
    return {
        "accuracy": accuracy["value"],
        "low": accuracy["low"],
        "high": accuracy["high"],
        "successes": accuracy["successes"],
        "targets": accuracy["trials"],
        "too_close": result["too_close_to_public"]["value"],
        "owner_named": result["owner_named"] and result["owner_named"]["value"],
        **{name: mean.get(name) for name in ("ssim", "psnr", "mse", "tv")},
        **_leak(result["leak"]),
        "prior_accuracy": prior and prior["accuracy"]["value"],
        "prior_ssim": prior and prior["ssim"],
        **_identity(federation.get("identity")),
        "utility_server": utility.get("server") and utility["server"]["value"],
        "utility_clients": round(sum(clients) / len(clients), 6) if clients else None,
        "bytes_per_client_round": round(sum(sent) / len(sent)) if sent else None,
        "seconds": seconds_of(folder),
        "plugin": result["attack"],
        "needs": " ".join(sorted(registry.load("attack", result["attack"]).needs)),
    }


def _identity(found: dict[str, Any] | None) -> dict[str, Any]:
    """The area under the curve for who is at which client."""
    area = area_of(found or {})
    return {
        f"identity{end}": area.get(key) for end, key in (("", "value"), ("_low", "low"), ("_high", "high"))
    }


def area_of(result: dict[str, Any]) -> dict[str, Any]:
    """The area under the curve of a result of an audit, by the first of `CLAIMS` that it has; empty where there is
    none."""
    return next((found for claim in CLAIMS if (found := area_by(result, claim))), {})


def area_by(result: dict[str, Any], claim: Claim) -> dict[str, Any]:
    """The same by one claim."""
    found: dict[str, Any] = (result.get(claim) or {}).get("area") or {}
    return found


def _leak(leak: dict[str, Any] | None) -> dict[str, Any]:
    """What a game says of a cell's chosen images, and of those of the owners; nothing where none was played."""
    chosen, owner = ((leak or {}).get(image) or {} for image in ("chosen", "owner"))
    return {
        "out": chosen["out"]["value"] if chosen else None,
        "out_targets": chosen["out"]["trials"] if chosen else None,
        "out_units": sum(1 for row in leak["per_target"] if row["out"]) if leak and chosen else None,
        **{f"leak_{key}": chosen["leak"][key] if chosen else None for key in ("low", "high", "p")},
        "ssim_out": chosen["ssim"]["out"] if chosen else None,
        **_of_image(chosen, ""),
        **_of_image(owner, "owner_"),
    }


def _of_image(found: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Leak, wins and counts of one image of each target, with what their columns begin with."""
    wins, counts = found.get("wins") or {}, found.get("table") or {}
    told = {
        "leak": found["leak"]["value"] if found else None,
        "wins": wins.get("value"),
        "ties": wins.get("ties"),
    }
    return {
        f"{prefix}{name}": value
        for name, value in (told | {name: counts.get(name) for name in TABLE}).items()
    }
