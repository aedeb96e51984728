"""What a game costs: twin worlds against one federation, mock twins, shadows and tuning, on synthetic people.

    python benchmarks/twins.py [--clients 4] [--rounds 3] [--schemes fedmd dsfl fedgems] [--out FOLDER]

The rival is the same federation run once. What does not depend on private images is computed once for both worlds (in
FedMD the transfer on the public set, and the server's model), so two worlds cost less than twice one.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import logitleak
from logitleak import config as configs
from logitleak.progress import Quiet
from logitleak.stages.folder import RunFolder
from logitleak.stages.lab import mock_twins, with_shadows
from logitleak.stages.worlds import attack_seed
from logitleak.wire.transcript import Transcript


def seconds(work: Callable[[], Any]) -> float:
    """How long some work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(scheme: str, clients: int, rounds: int, out: Path) -> dict[str, float]:
    """Seconds of everything that a game adds to one federation."""
    base: dict[str, Any] = {
        "device": "cpu",
        "data": {"source": "synthetic", "max_images": 8, "targets": 20},
        "federation": {"scheme": scheme, "clients": clients, "rounds": rounds},
        "attacks": {},
    }
    shutil.rmtree(out, ignore_errors=True)
    logitleak.run({**base, "federation": {**base["federation"], "rounds": 1}}, out / "warm-up")
    found = {"one": seconds(lambda: logitleak.run(base, out / "one"))}
    twins = {**base, "game": {"design": "twins"}}
    found["twins"] = seconds(lambda: logitleak.run(twins, out / "twins"))
    run = RunFolder(out / "twins")
    config, view = run.config(), Transcript(run.worlds[0].path)
    assert isinstance(config, configs.Config)
    seed = attack_seed(config.seed)
    found["shadows"] = seconds(lambda: with_shadows(view, config, seed, out / "shadows", Quiet()))
    if view.knowledge.public.labels is not None:
        found["mock"] = seconds(lambda: mock_twins(view.knowledge, config, seed, run.lab, Quiet()))
        tuned = {**twins, "attacks": {"gap": {"tune": "public"}}}
        found["tuning"] = seconds(lambda: logitleak.run(tuned, out / "twins"))
    return found


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--schemes", nargs="+", default=["fedmd", "dsfl", "fedgems"])
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    table = Table(title=f"K = {given.clients}, T = {given.rounds}, seconds")
    for column in ("scheme", "one", "twins", "ratio", "mock twins", "shadows", "gap: tuned and attacked"):
        table.add_column(column)
    with tempfile.TemporaryDirectory() as temporary:
        for scheme in given.schemes:
            found = measure(scheme, given.clients, given.rounds, (given.out or Path(temporary)) / scheme)
            cells = [found.get(name) for name in ("mock", "shadows", "tuning")]
            shown = ["–" if value is None else f"{value:.1f}" for value in cells]
            ratio = f"{found['twins'] / found['one']:.2f}"
            table.add_row(scheme, f"{found['one']:.1f}", f"{found['twins']:.1f}", ratio, *shown)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
