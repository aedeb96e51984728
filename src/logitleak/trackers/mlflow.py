"""MLflow: its file store, written without a server."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from logitleak.trackers.base import Tracker
from logitleak.trackers.record import Record

_PARAMETERS, _METRICS = 100, 1000
"""How many MLflow takes at once."""

_LONGEST = 500
"""Characters of a value, as every version of MLflow takes them."""


class MLflow(Tracker):
    """A run becomes a run of an experiment in a file store; settings are parameters, rounds are steps."""

    package = "mlflow"

    def write(self, records: Sequence[Record], out: Path, project: str) -> str:
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # read when it is imported
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # newer versions ask whether it is meant
        mlflow = self.load()
        from mlflow.entities import Metric, Param

        client = mlflow.MlflowClient(tracking_uri=out.resolve().as_uri())
        experiment = client.get_experiment_by_name(project)
        where = experiment.experiment_id if experiment else client.create_experiment(project)
        now = int(1000 * time.time())
        for record in records:
            run = client.create_run(where, run_name=record.name, tags=record.tags)
            parameters = [Param(key, str(value)[:_LONGEST]) for key, value in record.settings.items()]
            metrics = [Metric(key, value, now, 0) for key, value in record.numbers.items()]
            metrics += [
                Metric(key, value, now, step)
                for step, numbers in record.rounds.items()
                for key, value in numbers.items()
            ]
            for part in _parts(parameters, _PARAMETERS):
                client.log_batch(run.info.run_id, params=part)
            for part in _parts(metrics, _METRICS):
                client.log_batch(run.info.run_id, metrics=part)
            client.set_terminated(run.info.run_id)
        return f"MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri {out}"


def _parts(values: Sequence[Any], most: int) -> Sequence[list[Any]]:
    rest = iter(values)
    return list(iter(lambda: list(islice(rest, most)), []))
