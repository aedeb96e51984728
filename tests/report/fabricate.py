"""A made-up run folder by the contract of docs/run-folder.md: smooth images, plausible numbers."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

ATTACKS = {"pli": ("attack", 0.8), "ridge": ("attack", 0.45), "tbi": ("baseline", 0.1)}
RIVALS = {"prior": 0.0, "public-mean": 0.0}


def share(successes: int, trials: int) -> dict[str, Any]:
    z = 1.959964
    value = successes / trials
    middle = (value + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(value * (1 - value) / trials + z * z / (4 * trials**2))
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return {"value": value, "low": low, "high": high, "successes": successes, "trials": trials}


def faces(count: int, size: int, seed: int) -> NDArray[np.float32]:
    """Blobs with two dark eyes and a mouth: smooth, colored, all different."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    images = []
    for _ in range(count):
        skin, back, wide = rng.uniform(0.45, 0.9, 3), rng.uniform(0.05, 0.5, 3), rng.uniform(0.5, 0.75)
        tall, eyes, low = rng.uniform(0.75, 0.95), rng.uniform(0.2, 0.32), rng.uniform(0.3, 0.5)
        head = 1 / (1 + np.exp(12 * ((x / wide) ** 2 + (y / tall) ** 2 - 1)))
        dark = sum(np.exp(-(((x - s * eyes) / 0.1) ** 2) - ((y + 0.2) / 0.08) ** 2) for s in (-1, 1))
        dark = dark + 0.7 * np.exp(-((x / 0.25) ** 2) - ((y - low) / 0.07) ** 2)
        light = 1 + 0.25 * x * rng.uniform(-1, 1)
        images.append(
            head * skin[:, None, None] * light * (1 - 0.8 * dark) + (1 - head) * back[:, None, None]
        )
    return np.clip(images, 0, 1).astype(np.float32)


def blend(a: NDArray[Any], b: NDArray[Any], weight: float, noise: float, seed: int) -> NDArray[np.float32]:
    mixed = weight * a + (1 - weight) * b + np.random.default_rng(seed).normal(0, noise, a.shape)
    return np.clip(mixed, 0, 1).astype(np.float32)


def per_target(name: str, rate: float, targets: int, clients: int) -> list[dict[str, Any]]:
    listed = []
    for t in range(targets):
        success = (t * 7 + 3) % targets < round(rate * targets)
        close = not success and t % 3 == 0
        ssim = 0.25 + 0.6 * rate * (1 if success else 0.5) + 0.02 * ((t * 5) % 7)
        wrong = f"public:{t * 3}" if close else f"private:{((t + 1) % targets) * 3}"
        rival = name in RIVALS
        listed.append(
            {
                "label": t * 3,
                "name": f"person {t * 3:03d}",
                "owner": t % clients,
                "chosen": 0 if rival else (t if success else t + 1) % clients,
                "success": success,
                "too_close_to_public": close,
                "best_match": f"private:{t * 3}" if success else wrong,
                "ssim": ssim,
                "ssim_public": 0.4,
                "ssim_rival": ssim - 0.05,
                "mse": 0.02,
                "psnr": 17.0 + 5 * rate,
                "tv": 0.05,
            }
        )
    return listed


def judged(name: str, kind: str, rate: float, targets: int, clients: int, rounds: int) -> dict[str, Any]:
    listed = per_target(name, rate, targets, clients)
    hits = sum(row["success"] for row in listed)
    ssim = sum(row["ssim"] for row in listed) / targets
    over = [
        {
            "round": r,
            "accuracy": share(round(hits * r / rounds), targets),
            "too_close_to_public": share(1, targets),
            "ssim": ssim * (0.7 + 0.3 * r / rounds),
        }
        for r in range(1, rounds + 1)
    ]
    real = kind != "rival"
    curve = [
        {"round": r, "client": k, "step": s, "loss": 0.5 * math.exp(-s / 200) / r + 0.01 * (k + 1)}
        for r in range(1, rounds + 1)
        for k in range(clients)
        for s in range(0, 1001, 100)
    ]
    rng = np.random.default_rng(len(name))
    pair = {
        "owner": rng.normal(0.42, 0.08, targets).tolist(),
        "others": rng.normal(0.6, 0.07, targets * (clients - 1)).tolist(),
    }
    return {
        "kind": kind,
        "summary": f"What {name} does, in one line of plain words.",
        "accuracy": share(hits, targets),
        "too_close_to_public": share(sum(row["too_close_to_public"] for row in listed), targets),
        "owner_named": share(sum(row["owner"] == row["chosen"] for row in listed), targets)
        if real and clients > 1
        else None,
        "mean": {"ssim": ssim, "mse": 0.0213, "psnr": 17.2 + 3 * rate, "tv": 0.06},
        "per_target": listed,
        "rounds": over if real else [],
        "client_ssim": pair if real and clients > 1 else None,
        "losses": curve if name == "pli" else [],
        "choices": {"lambda": [{"round": 1, "client": k, "lambda": 0.1 * (k + 1)} for k in range(clients)]}
        if real
        else {},
        "settings": {"steps": 1000, "learning_rate": 3e-4, "gamma": 0.03} if real else {},
        "assumptions": ["The server knows which labels are private."]
        if real
        else ["Nothing but the public set."],
    }


def said(name: str) -> dict[str, Any]:
    """The attack.json of an attack."""
    return {
        "attack": name,
        "prior": None,
        "prior_settings": None,
        "tune": "none",
        "view": "clients",
        "kind": ATTACKS[name][0],
        "compares_clients": name == "pli",
        "settings": {"steps": 1000},
        "needs": ["labels"],
        "assumptions": [],
        "choices": {},
        "losses": [],
    }


def fabricate(
    folder: Path, targets: int = 8, clients: int = 3, rounds: int = 3, size: int = 64, noise: float = 0.03
) -> Path:
    """Write a whole run folder and return it."""
    truth, public = faces(targets, size, 1), faces(targets, size, 2)
    folder.mkdir(parents=True, exist_ok=True)
    save_file({"truth": truth, "public": public}, folder / "gallery.safetensors")
    for name, (_, rate) in ATTACKS.items():
        home = folder / "attacks" / name
        home.mkdir(parents=True)
        (home / "attack.json").write_text(json.dumps(said(name)))
        for r in range(1, rounds + 1):
            weight = rate * (0.5 + 0.5 * r / rounds)
            images = blend(truth, public, weight, noise, r)
            chosen = np.zeros(targets, np.int64)
            scores = np.zeros((clients, targets), np.float32)
            save_file(
                {"images": images, "chosen": chosen, "scores": scores}, home / f"round-{r:02d}.safetensors"
            )
        final = np.stack([blend(truth, public, rate * 0.9**k, noise, 50 + k) for k in range(clients)])
        save_file({"images": final}, home / "final.safetensors")
    (folder / "metrics.json").write_text(json.dumps(metrics(targets, clients, rounds, size), indent=1))
    (folder / "timings.json").write_text(
        json.dumps(
            {"federation_seconds": 41.2, "attack_pli_seconds": 63.0, "peak_memory_mib": 812, "threads": 1}
        )
    )
    return folder


def metrics(targets: int, clients: int, rounds: int, size: int) -> dict[str, Any]:
    listed = [(name, kind, rate) for name, (kind, rate) in ATTACKS.items()]
    listed += [(name, "rival", rate) for name, rate in RIVALS.items()]
    edges = np.linspace(0, 5, 26)
    middles = (edges[1:] + edges[:-1]) / 2

    def hump(center: float, width: float) -> list[float]:
        heights = np.exp(-(((middles - center) / width) ** 2))
        return (heights / heights.sum()).tolist()

    phases = [(0, "pretrain"), *((r, p) for r in range(1, rounds + 1) for p in ("digest", "revisit"))]
    losses = [
        {
            "round": r,
            "phase": phase,
            "client": k,
            "epoch": 1,
            "loss": 0.4 / (1 + r) + 0.02 * (k if k is not None else 4),
        }
        for r, phase in phases
        for k in (None, *range(clients))
    ]
    utility = [
        {"round": r, "server": 0.3 + 0.08 * r, "clients": [0.5 + 0.04 * r + 0.02 * k for k in range(clients)]}
        for r in range(rounds + 1)
    ]
    return {
        "format": 1,
        "config": {"seed": 7, "federation": {"scheme": "fedmd", "rounds": rounds}, "attacks": list(ATTACKS)},
        "config_hash": "9f2c41d07be3",
        "seed": 7,
        "versions": {"logitleak": "0.1.0", "torch": "2.5.1", "numpy": "2.1.0", "python": "3.11.2"},
        "noun": "person",
        "made_by": {"federation": "0.1.0", "attacks": dict.fromkeys(ATTACKS, "0.1.0")},
        "failed": {},
        "resources": {"peak_memory_mib": 812},
        "game": None,
        "identity": None,
        "threat_model": {
            "scheme": "FedMD",
            "adversary": "A server that follows the protocol and is curious about the private images.",
            "sees": ["The logits of every client on the public images, each round.", "The public images."],
            "knows": ["Which labels are private to some client.", "The architecture of its own model."],
            "never_sees": ["A private image.", "A gradient or a weight of a client's model."],
        },
        "data": {
            "recorded": False,
            "holdings": None,
            "aggregation": "plain",
            "source": "synthetic",
            "title": "Synthetic heads",
            "protocol": "sunglasses",
            "identities": targets * 3,
            "classes": targets * 3,
            "targets": targets,
            "clients": clients,
            "public_sensitive": 640,
            "public_insensitive": 12800,
            "private": [160] * clients,
            "held_out": 200,
            "image_size": size,
            "skipped": [{"path": "people/broken.jpg", "reason": "cannot be decoded"}],
            "synthetic": True,
            "chance": 1 / (targets * 4),
        },
        "attacks": {name: judged(name, kind, rate, targets, clients, rounds) for name, kind, rate in listed},
        "confidence": {
            "bins": edges.tolist(),
            "server_public": hump(1.6, 0.9),
            "server_private": hump(3.2, 0.9),
            "client_public": hump(1.1, 0.8),
            "client_private": hump(0.8, 0.6),
        },
        "utility": {
            "held_out": 200,
            "server": share(108, 200),
            "clients": [share(124 + 4 * k, 200) for k in range(clients)],
            "rounds": utility,
            "baselines": None,
        },
        "federation": {
            "losses": losses,
            "bytes": [
                {"round": r, "client": k, "received": 409600 + 1024 * k, "sent": 409600}
                for r in range(1, rounds + 1)
                for k in range(clients)
            ],
            "weights": [1 << 20] * clients,
            "absent": [],
            "ended": None,
        },
    }
