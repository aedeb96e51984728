"""Weights & Biases: runs that were recorded offline, to be sent by whoever wants to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from logitleak.trackers.base import Tracker
from logitleak.trackers.record import Record


class WandB(Tracker):
    """A run becomes an offline run of a project; settings are its config, and what was measured last its summary."""

    package = "wandb"

    def write(self, records: Sequence[Record], out: Path, project: str) -> str:
        os.environ["WANDB_ERROR_REPORTING"] = "false"  # read when it is imported
        wandb = self.load()
        out.mkdir(parents=True, exist_ok=True)
        # neither this machine, its user nor its repository is anybody's business
        settings = wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            save_code=False,
            x_disable_stats=True,
            x_disable_meta=True,
        )
        for record in records:
            run = wandb.init(
                mode="offline",
                project=project,
                name=record.name,
                dir=str(out.resolve()),
                config={**record.settings, "logitleak": record.tags},
                settings=settings,
            )
            for step, numbers in record.rounds.items():
                run.log(numbers, step=step)
            run.summary.update(record.numbers)
            run.finish()
        wandb.teardown()  # its service may keep the end of a file until then
        return f"wandb sync {out}/wandb/offline-run-*"
