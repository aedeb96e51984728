"""Every stage of a run against the machine's ceilings and against a plain PyTorch rival, in one run.

    python benchmarks/bench.py [--sizes att lfw] [--clients 1 10] [--stages NAME ...] [--out FILE]

Each side of each stage has a process of its own, so that its peak memory is its own and nothing is warm for it. The
table goes to the screen, everything else to a JSON file.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import ceilings
import torch
from rich.console import Console
from rich.table import Table
from stage import SIZES

from logitleak.machine.allocator import keep_freed_memory, own_process
from logitleak.machine.memory import peak_bytes
from stages import STAGES


def work(stage: str, size: str, clients: int, side: str, repeats: int) -> dict[str, Any]:
    """One side of one stage, in a process of its own."""
    if side == "ours":
        own_process()
        keep_freed_memory()
    prepared = STAGES[stage](SIZES[size], clients)
    doing = prepared.ours() if side == "ours" else prepared.rival()
    result, seconds = doing(), float("inf")  # the first time is not counted: memory is still being fetched
    for _ in range(repeats):  # training goes on, on both sides for as long, so results stay comparable
        start = time.perf_counter()
        result = doing()
        seconds = min(seconds, time.perf_counter() - start)
    units = prepared.units() if side == "ours" else prepared.rival_units()
    return {
        "seconds": seconds / units,
        "unit": prepared.unit,
        "operations": prepared.operations(),
        "traffic": prepared.traffic(),
        "peak_mib": round(peak_bytes() / 2**20),
        "result": result.numpy(),
    }


def compare(stage: str, size: str, clients: int, repeats: int, limits: dict[str, float]) -> dict[str, Any]:
    """Both sides of a stage, and what they say of each other and of the ceilings."""
    sides = {}
    for side in ("ours", "rival"):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            sides[side] = pool.submit(work, stage, size, clients, side, repeats).result()
    ours, theirs = sides["ours"], sides["rival"]
    a, b = (torch.from_numpy(side.pop("result")).double() for side in (ours, theirs))
    ceiling = limits["bf16" if "bf16" in stage else "float32"]
    return {
        "stage": stage,
        "size": size,
        "clients": clients,
        "unit": ours["unit"],
        "seconds": ours["seconds"],
        "rival_seconds": theirs["seconds"],
        "ratio": theirs["seconds"] / ours["seconds"],
        "operations": ours["operations"],
        "share_of_ceiling": ours["operations"] / ceiling / ours["seconds"],
        "share_of_copy": ours["traffic"] / limits["copy"] / ours["seconds"],
        "peak_mib": ours["peak_mib"],
        "rival_peak_mib": theirs["peak_mib"],
        "difference": float((a - b).norm() / b.norm()),
    }


def show(rows: list[dict[str, Any]], limits: dict[str, float]) -> None:
    """The table on the screen."""
    console = Console(width=150)
    console.print(
        f"float32 product {limits['float32'] / 1e9:.0f} GFLOP/s, bf16 {limits['bf16'] / 1e9:.0f} GFLOP/s, "
        f"copy {limits['copy'] / 1e9:.1f} GB/s, {torch.get_num_threads()} threads"
    )
    table = Table("stage", "size", "K", "unit")
    for name in (
        "ms",
        "rival ms",
        "ratio",
        "GFLOP",
        "of ceiling",
        "of copy",
        "MiB",
        "rival MiB",
        "difference",
    ):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            row["stage"], row["size"], str(row["clients"]), row["unit"],
            f"{row['seconds'] * 1e3:.3g}", f"{row['rival_seconds'] * 1e3:.3g}", f"{row['ratio']:.1f}",
            f"{row['operations'] / 1e9:.3g}", f"{row['share_of_ceiling']:.0%}", f"{row['share_of_copy']:.0%}",
            str(row["peak_mib"]), str(row["rival_peak_mib"]), f"{row['difference']:.0e}",
        )  # fmt: skip
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", choices=sorted(SIZES), default=list(SIZES))
    parser.add_argument("--clients", nargs="+", type=int, default=[1, 10])
    parser.add_argument("--stages", nargs="+", choices=sorted(STAGES), default=list(STAGES))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/bench.json"))
    given = parser.parse_args()
    limits = ceilings.measure()
    rows: list[dict[str, Any]] = []
    for size in given.sizes:
        for clients in given.clients:
            for stage in given.stages:
                rows.append(compare(stage, size, clients, given.repeats, limits))
                print(f"{stage}, {size}, K = {clients}: {rows[-1]['ratio']:.1f} times the rival", flush=True)
    show(rows, limits)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    machine = {"processor": platform.processor() or platform.machine(), "torch": torch.__version__}
    machine["threads"] = str(torch.get_num_threads())
    given.out.write_text(json.dumps({"machine": machine, "ceilings": limits, "rows": rows}, indent=1) + "\n")
    print(f"Everything is in {given.out}")


if __name__ == "__main__":
    main()
