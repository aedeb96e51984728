"""A made-up sweep's folder: a plan, a table, and the files of cells and federations, small and whole."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from fabricate import blend, faces, judged, metrics, share
from safetensors.numpy import save_file

ROUNDS, SIZE = 3, 32
RATES = {"pli": 0.75, "ridge": 0.4, "tbi": 0.1}
TAUS = (1, 3)
COLUMNS = (
    "accuracy", "low", "high", "successes", "targets", "too_close", "owner_named", "ssim", "psnr", "mse", "tv",
    "out", "leak", "leak_low", "leak_high", "leak_p", "both", "only_in", "only_out", "neither", "wins", "ties",
    "out_targets", "out_units", "ssim_out", "owner_leak", "owner_wins", "owner_ties",
    "prior_accuracy", "prior_ssim", "utility_server", "utility_clients",
    "bytes_per_client_round", "seconds",
)  # fmt: skip


def name(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def fabricate_sweep(
    folder: Path,
    show: Sequence[Mapping[str, Any]] = (),
    schemes: Sequence[str] = ("fedmd", "dsfl"),
    clients: Sequence[int] = (1, 3),
    seeds: Sequence[int] = (0, 1),
    targets: int = 8,
    synthetic: bool = True,
    broken: Mapping[int, str] | None = None,
) -> Path:
    """Write a sweep of PLI at two τ, ridge and TBI; `broken` makes a place of the table failed or missing."""
    truth, public = faces(targets, SIZE, 1), faces(targets, SIZE, 2)
    lines: list[dict[str, Any]] = []
    for scheme, count, seed in itertools.product(schemes, clients, seeds):
        federation = name(scheme, count, seed)
        _federation(folder / "federations" / federation, truth, public, scheme, count, seed, synthetic)
        for attack, tau in (("ridge", None), *(("pli", tau) for tau in TAUS), ("tbi", None)):
            axes = {"attack": attack, "clients": count, "scheme": scheme, "seed": seed}
            row = {"axes": axes | ({} if tau is None else {"tau": tau}), "seed": seed, "error": None}
            row |= {"id": name(axes, tau), "federation": federation}
            status = (broken or {}).get(len(lines), "finished")
            if status == "finished":
                rate = min(1.0, RATES[attack] * (1 if tau != 1 else 0.6) + 0.05 * seed)
                row |= _cell(folder / "cells" / str(row["id"]), attack, rate, truth, public, count)
            else:
                row |= dict.fromkeys(COLUMNS)
                row["error"] = "TrainingError: the loss is not finite" if status == "failed" else None
            lines.append(row | {"status": status})
    grid = {
        "federation.scheme": list(schemes), "federation.clients": list(clients), "seed": list(seeds),
        "attacks.pli.settings.tau": list(TAUS),
    }  # fmt: skip
    cells = [{key: line[key] for key in ("id", "federation", "axes", "seed")} for line in lines]
    plan = {"format": 1, "title": "A made-up sweep", "base": {"data": {"source": "synthetic"}}, "grid": grid}
    (folder / "sweep.json").write_text(
        json.dumps(plan | {"show": list(show), "cells": cells}, sort_keys=True)
    )
    write_lines(folder, lines)
    return folder


def read_lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "table.jsonl").read_text().splitlines()]


def write_lines(folder: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    (folder / "table.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def _federation(
    folder: Path, truth: Any, public: Any, scheme: str, clients: int, seed: int, synthetic: bool
) -> None:
    folder.mkdir(parents=True)
    save_file({"truth": truth, "public": public}, folder / "gallery.safetensors")
    numbers = metrics(len(truth), clients, ROUNDS, SIZE)
    rivals = {key: entry for key, entry in numbers["attacks"].items() if entry["kind"] == "rival"}
    numbers |= {"attacks": rivals, "seed": seed}
    numbers["threat_model"]["scheme"] = scheme
    numbers["config"]["federation"] |= {"scheme": scheme, "clients": clients}
    numbers["data"]["synthetic"] = synthetic
    (folder / "metrics.json").write_text(json.dumps(numbers))
    (folder / "timings.json").write_text(
        json.dumps({"federation_seconds": 41.5, "peak_memory_mib": 812, "threads": 1})
    )


def _cell(folder: Path, attack: str, rate: float, truth: Any, public: Any, clients: int) -> dict[str, Any]:
    """The files of a cell; returns its numbers in the table."""
    folder.mkdir(parents=True)
    targets = len(truth)
    for r in range(1, ROUNDS + 1):
        images = blend(truth, public, rate * r / ROUNDS, 0.03, r)
        save_file({"images": images}, folder / f"round-{r:02d}.safetensors")
    save_file({"images": np.stack([images] * clients)}, folder / "final.safetensors")
    kind = "baseline" if attack == "tbi" else "attack"
    result = judged(attack, kind, rate, targets, clients, ROUNDS) | {"attack": attack, "prior": None}
    if attack == "pli":
        prior = (blend(truth, public, 0.2, 0, 9) * 255).round().astype(np.uint8)
        save_file({"images": prior}, folder / "prior.safetensors")
        tried = [
            {"value": value, "accuracy": 0.1 * value, "ssim": 0.4 + 0.01 * value, "chosen": value == 3}
            for value in (1, 3)
        ]
        result["prior"] = {
            "accuracy": share(2, targets),
            "too_close_to_public": share(1, targets),
            "ssim": 0.47,
        }
        result["choices"] = {
            "tuned on public data": {"on": "mock targets", "mock targets": 20, "alpha": tried}
        }
    (folder / "result.json").write_text(json.dumps(result))
    whole = result["accuracy"]
    assert whole == share(whole["successes"], targets)
    owner, prior = result["owner_named"], result["prior"]
    return dict.fromkeys(COLUMNS) | {
        "accuracy": whole["value"], "low": whole["low"], "high": whole["high"],
        "successes": whole["successes"], "targets": targets,
        "too_close": result["too_close_to_public"]["value"], "owner_named": owner and owner["value"],
        **result["mean"], "prior_accuracy": prior and prior["accuracy"]["value"],
        "prior_ssim": prior and prior["ssim"], "utility_server": 0.54, "utility_clients": 0.63,
        "bytes_per_client_round": 409600, "seconds": 12.5,
    }  # fmt: skip
