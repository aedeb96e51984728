"""What hiding uploads behind a sum costs: seconds, bytes and the error of the mean, by aggregator and size.

    python benchmarks/aggregation.py

One client's upload is sealed and the sum of all is opened in this process, one after the other. The rival is the plain
mean of float32 uploads, as `fedmd` takes it. Times are medians of five.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from logitleak import registry
from logitleak.aggregation.base import Hiding, Sealed
from logitleak.aggregation.ckks import CKKS
from logitleak.schemes.fedmd import mean_logits
from logitleak.seeds import derive_bytes

SIZES = {"demo": (1760, 120, 4), "1,000 x 200": (1000, 200, 10)}
"""Rows, classes and clients: of configs/demo.yaml, and of a larger public set."""

KINDS: list[tuple[str, dict[str, Any]]] = [
    ("secure-sum", {}),
    ("secure-sum", {"bits": 48}),
    ("ckks", {}),
    ("ckks", {"degree": 8192, "chain": [60, 60]}),
]
REPEATS = 5


def median(action: Callable[[], object]) -> float:
    """Seconds."""
    taken = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        action()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def noise(hiding: Hiding, sealed: dict[int, Sealed]) -> float:
    """How much the encryption changes the mean before clients round it; 0 without any."""
    if not isinstance(hiding, CKKS):
        return 0.0
    chunks = hiding.encryption.added(hiding._server, [one.parts for one in sealed.values()])
    values = hiding.encryption.values(hiding._clients, chunks)
    steps = np.rint(values / hiding.numbers.step) * hiding.numbers.step
    return float(np.abs(values - steps).max()) / len(sealed)


def measure(kind: str, settings: dict[str, Any], rows: int, classes: int, clients: int) -> str:
    """One line of the table."""
    uploads = [
        8 * torch.randn(rows, classes, generator=torch.Generator().manual_seed(k)) for k in range(clients)
    ]
    made = registry.load("aggregator", kind)
    parsed = registry.settings(f"aggregator {kind}", made.Settings, settings)
    hiding: Hiding = made(parsed, "logits", clients, partial(derive_bytes, 0, "benchmark"))
    sealed = {k: hiding.seal(k, 1, one) for k, one in enumerate(uploads)}
    error = (hiding.mean(1, sealed, []).double() - torch.stack(uploads).double().mean(0)).abs().max()
    plain = median(lambda: mean_logits(uploads))
    seal, mean = median(lambda: hiding.seal(0, 1, uploads[0])), median(lambda: hiding.mean(1, sealed, []))
    name = kind + "".join(f", {key} {value}" for key, value in settings.items())
    nbytes, raw = sealed[0].nbytes, uploads[0].nbytes
    return (
        f"| {name} | {nbytes:,} ({nbytes / raw:.1f}x) | {seal:.3f} | {mean:.3f} | {plain:.4f} | {float(error):.1e} | "
        f"{noise(hiding, sealed):.1e} |"
    )


def main() -> None:
    """Print a table for every size."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None).parse_args()
    for name, (rows, classes, clients) in SIZES.items():
        print(f"\n{name}: {rows} rows, {classes} classes, {clients} clients\n")
        print(
            "| aggregator | bytes of a client | s to seal | s for the mean | s plain | largest error | encryption |"
        )
        print("|---|---|---|---|---|---|---|")
        for kind, settings in KINDS:
            print(measure(kind, settings, rows, classes, clients), flush=True)


if __name__ == "__main__":
    main()
