"""What this machine can do at best: matrix products and memory copies, measured where the stages are."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import torch


def best_seconds(work: Callable[[], object], repeats: int) -> float:
    """The shortest of some repetitions, after one that is not counted."""
    work()
    shortest = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        shortest = min(shortest, time.perf_counter() - start)
    return shortest


def measure(device: str = "cpu") -> dict[str, float]:
    """``float32`` and ``bf16`` products in FLOP/s, and ``copy`` in bytes read plus written per second."""

    def waited(work: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            work()
            if device == "cuda":
                torch.cuda.synchronize()

        return run

    found = {}
    side = 4096
    for name, dtype in (("float32", torch.float32), ("bf16", torch.bfloat16)):
        a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        found[name] = 2 * side**3 / best_seconds(waited(partial(torch.matmul, a, b)), 5)
    source = torch.zeros(1 << 28, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    found["copy"] = 2 * len(source) / best_seconds(waited(lambda: target.copy_(source)), 5)
    return found
