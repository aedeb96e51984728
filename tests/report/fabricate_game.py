"""Games for a made-up run: twins, decoys, several worlds, and nulls, by the contract of metrics.json."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from fabricate import ATTACKS, blend, share
from safetensors.numpy import load_file, save_file

Rates = dict[str, tuple[float, float]]
RATES: Rates = {"pli": (0.75, 0.1), "ridge": (0.5, 0.4), "tbi": (0.1, 0.1)}
"""Of every attack, the share of targets rebuilt in and out."""


def binomial(successes: int, trials: int) -> float:
    """Two-sided exact p of a fair coin."""
    tail = sum(math.comb(trials, k) for k in range(max(successes, trials - successes), trials + 1))
    return min(1.0, 2 * tail / 2**trials)


def comparison(inside: int, outside: int, trials: int, paired: bool = True, **changes: Any) -> dict[str, Any]:
    """A whole comparison; ``changes`` replace its parts, a dict by a dict's keys."""
    a, b = share(inside, trials), share(outside, trials)
    value = a["value"] - b["value"]
    low = value - math.hypot(a["value"] - a["low"], b["high"] - b["value"])
    high = value + math.hypot(a["high"] - a["value"], b["value"] - b["low"])
    both = min(inside, outside)
    p = binomial(inside - both, inside + outside - 2 * both) if paired else 0.003
    wins = min(trials, round(trials * (0.5 + value / 2)))
    made: dict[str, Any] = {
        "in": a,
        "out": b,
        "leak": {"value": value, "low": low, "high": high, "p": p, "method": "newcombe-10"},
        "table": {
            "both": both,
            "only_in": inside - both,
            "only_out": outside - both,
            "neither": trials - inside - outside + both,
        }
        if paired
        else None,
        "wins": share(wins, trials) | {"ties": 0, "p": binomial(wins, trials)} if paired else None,
        "auc": None if paired else {"value": 0.5 + value / 2, "p": 0.01},
        "ssim": {"in": 0.5 + value / 4, "out": 0.5, "difference": value / 4}
        | {"low": value / 4 - 0.06, "high": value / 4 + 0.06},
    }
    for key, change in changes.items():
        old = made[key]
        made[key] = old | change if isinstance(change, dict) and isinstance(old, dict) else change
    return made


def found(rates: tuple[float, float], targets: int, rounds: int, worlds: int, paired: bool) -> dict[str, Any]:
    """What metrics.json says of one attack's leak."""
    tries = targets * worlds // 2 if paired else targets // 2
    inside, outside = (round(rate * tries) for rate in rates)
    bootstrap = {"leak": {"p": None, "method": "bootstrap"}, "table": None} if worlds > 2 else {}

    def made(weight: float) -> dict[str, Any]:
        grown = round(outside + (inside - outside) * weight)
        return comparison(grown, outside, tries, paired, **bootstrap)

    per_target = []
    for t in range(targets):
        hit_in, hit_out = (t * 7 % targets) < rates[0] * targets, (t * 3 % targets) < rates[1] * targets
        sides = {"in": {"success": float(hit_in), "ssim": 0.4 + 0.3 * hit_in + 0.01 * (t % 5)}}
        sides |= {"out": {"success": float(hit_out), "ssim": 0.4 + 0.3 * hit_out}}
        if worlds > 2 and t % 3 == 0:
            sides["in"]["success"] = 0.5
        gone = None if paired else "out" if t % 2 else "in"
        row = {"label": t * 3, "name": f"person {t * 3:03d}", "owner": t % 3}
        per_target.append(row | {side: None if side == gone else sides[side] for side in ("in", "out")})
    return {
        "chosen": made(1),
        "owner": made(0.8),
        "p_holm": min(1.0, 2 * (made(1)["leak"]["p"] or 0)) if worlds == 2 or not paired else None,
        "rounds": [
            {"round": r, "chosen": made(r / rounds), "owner": made(0.8 * r / rounds)}
            for r in range(1, rounds + 1)
        ],
        "per_target": per_target,
    }


def play(run: Path, design: str = "twins", worlds: int = 2, rates: Rates | None = None) -> Path:
    """Turn a run into one that played a game; twins have no attacks of their own."""
    paired = design == "twins"
    path = run / "metrics.json"
    metrics = json.loads(path.read_text())
    images = load_file(run / "gallery.safetensors")
    truth, public = images["truth"], images["public"]
    targets = len(truth)
    rounds = [row["round"] for row in metrics["attacks"]["pli"]["rounds"]]
    primary = {"attack": "pli", "image": "chosen", "round": rounds[-1]}
    metrics["game"] = {
        "design": design,
        "unit": "person",
        "worlds": worlds if paired else 1,
        "units": targets,
        "in": [targets // 2] * (worlds if paired else 1),
        "primary": primary,
        "measure": "success",
    }
    for attack in metrics["attacks"].values():
        attack["leak"] = None
    for name in ATTACKS:
        rate = (rates or RATES)[name]
        metrics["attacks"][name]["leak"] = found(rate, targets, len(rounds), worlds, paired)
        for r in rounds:
            for side, weight in zip(("in", "out"), rate, strict=True):
                mixed = blend(truth, public, weight * r / len(rounds), 0.03, r)
                images[f"{side}/{name}/{r}"] = (mixed * 255).round().astype(np.uint8)
        there = np.arange(targets) % 2
        images[f"has_in/{name}"] = (np.ones(targets) if paired else there).astype(np.uint8)
        images[f"has_out/{name}"] = (np.ones(targets) if paired else 1 - there).astype(np.uint8)
    metrics["attacks"]["pli"]["leak"]["p_holm"] = None
    if paired:
        shutil.rmtree(run / "attacks")
    path.write_text(json.dumps(metrics))
    save_file(images, run / "gallery.safetensors")
    return run


def null(kind: str, successes: int, trials: int) -> dict[str, Any]:
    """One null of an attack."""
    summary = f"What it makes of {kind}, in one line."
    return {
        "kind": kind,
        "round": 1,
        "accuracy": share(successes, trials),
        "ssim": 0.41,
        "summary": summary,
    }


def with_nulls(run: Path, successes: int = 1) -> Path:
    """Give every attack of a run its nulls."""
    path = run / "metrics.json"
    metrics = json.loads(path.read_text())
    targets = metrics["data"]["targets"]
    for name in ATTACKS:
        kinds = ("non-owners", "own-model")
        metrics["attacks"][name]["nulls"] = [null(kind, successes, targets) for kind in kinds]
    path.write_text(json.dumps(metrics))
    return run
