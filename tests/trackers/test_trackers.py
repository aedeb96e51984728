"""What is written for MLflow and for Weights & Biases: with a stand-in of each package, and with the package itself."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from logitleak.cli import main
from logitleak.errors import UserError
from logitleak.trackers.mlflow import MLflow
from logitleak.trackers.record import Record
from logitleak.trackers.wandb import WandB
from needs import require

TOLD = Record(
    "first",
    {f"key{n}": n for n in range(150)} | {"long": "x" * 9000},
    {"scheme": "fedmd"},
    {"gap/leak": 0.3, "gap/out": 0.1},
    {1: {"gap/round_leak": 0.1}, 2: {"gap/round_leak": 0.3}},
)


class Client:
    """MLflow's client, as far as it is used; it keeps what it was told."""

    made: Client

    def __init__(self, tracking_uri: str) -> None:
        self.uri, self.calls, self.ended = tracking_uri, [], []
        Client.made = self
        self.calls: list[tuple[str, Any]]
        self.ended: list[str]

    def get_experiment_by_name(self, name: str) -> None:
        return None

    def create_experiment(self, name: str) -> str:
        return f"id of {name}"

    def create_run(self, experiment: str, run_name: str, tags: dict[str, str]) -> Any:
        self.calls.append(("run", (experiment, run_name, tags)))
        return SimpleNamespace(info=SimpleNamespace(run_id=run_name))

    def log_batch(self, run: str, metrics: Any = (), params: Any = ()) -> None:
        assert run == "first"
        assert len(params) <= 100
        self.calls += [("param", one) for one in params] + [("metric", one) for one in metrics]

    def set_terminated(self, run: str) -> None:
        self.ended.append(run)


@pytest.fixture
def no_mlflow(monkeypatch: pytest.MonkeyPatch) -> type[Client]:
    """A stand-in of MLflow."""
    package, entities = ModuleType("mlflow"), ModuleType("mlflow.entities")
    package.MlflowClient = Client  # type: ignore[attr-defined]
    entities.Metric = lambda key, value, time, step: (key, value, step)  # type: ignore[attr-defined]
    entities.Param = lambda key, value: (key, value)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mlflow", package)
    monkeypatch.setitem(sys.modules, "mlflow.entities", entities)
    return Client


def test_a_record_becomes_a_run_of_mlflow(no_mlflow: type[Client], tmp_path: Path) -> None:
    command = MLflow().write([TOLD], tmp_path / "store", "audits")
    made = no_mlflow.made
    assert made.uri == (tmp_path / "store").as_uri()
    assert made.calls[0] == ("run", ("id of audits", "first", {"scheme": "fedmd"}))
    parameters = dict(one for kind, one in made.calls if kind == "param")
    assert len(parameters) == 151
    assert parameters["key7"] == "7"
    assert len(parameters["long"]) == 500
    assert [one for kind, one in made.calls if kind == "metric"] == [
        ("gap/leak", 0.3, 0), ("gap/out", 0.1, 0), ("gap/round_leak", 0.1, 1), ("gap/round_leak", 0.3, 2),
    ]  # fmt: skip
    assert made.ended == ["first"]
    assert str(tmp_path / "store") in command


def test_a_record_becomes_an_offline_run_of_wandb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    begun: list[dict[str, Any]] = []
    logged: list[tuple[int, dict[str, float]]] = []
    summary: dict[str, float] = {}
    run = SimpleNamespace(
        log=lambda numbers, step: logged.append((step, numbers)),
        summary=summary,
        finish=lambda: begun[0].update(end=1),
    )

    def init(**given: Any) -> Any:
        begun.append(given)
        return run

    package = ModuleType("wandb")
    package.teardown = lambda: None  # type: ignore[attr-defined]
    package.init, package.Settings = init, lambda **given: given  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", package)
    WandB().write([TOLD], tmp_path / "w", "audits")
    (given,) = begun
    assert (given["mode"], given["project"], given["name"]) == ("offline", "audits", "first")
    assert given["dir"] == str(tmp_path / "w")
    assert given["config"] == {**TOLD.settings, "logitleak": {"scheme": "fedmd"}}
    assert given["settings"]["x_disable_meta"]
    assert given["settings"]["disable_git"]
    assert logged == list(TOLD.rounds.items())
    assert summary == TOLD.numbers
    assert given["end"] == 1


@pytest.mark.parametrize("tracker", [MLflow, WandB])
def test_a_package_that_is_missing_is_named_with_its_extra(
    tracker: type[MLflow | WandB], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, tracker.package, None)  # as if it were not installed
    with pytest.raises(UserError, match=rf'pip install "logitleak\[{tracker.package}\]"') as told:
        tracker().write([TOLD], tmp_path / "out", "audits")
    assert "\n" not in str(told.value)
    assert not (tmp_path / "out").exists()


def test_the_command_tells_mistakes_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for to, message in (("mlflw", 'Did you mean "mlflow"?'), ("mlflow", "neither the folder of a run")):
        with pytest.raises(SystemExit) as end:
            main(["export-metrics", str(tmp_path), "--to", to, "--out", str(tmp_path / "out")])
        said = capsys.readouterr().err
        assert end.value.code == 2
        assert message in said
        assert said.count("\n") == 1


def test_the_command_writes_and_says_what_next(
    no_mlflow: type[Client], run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["export-metrics", str(run_folder), "--to", "mlflow", "--out", str(tmp_path / "out")])
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("1 run written; next: MLFLOW_ALLOW_FILE_STORE=true mlflow ui")
    assert last == str(tmp_path / "out")
    made, (experiment, name, tags) = no_mlflow.made.calls[0]
    assert (made, experiment, name) == ("run", "id of logitleak", "first")
    assert tags["scheme"] == "fedmd"
    assert ("param", ("seed", "3")) in no_mlflow.made.calls
    main(["export-metrics", str(run_folder), "--to", "mlflow", "--out", str(tmp_path / "out"), "--quiet"])
    assert capsys.readouterr().out == f"{tmp_path / 'out'}\n"


def test_mlflow_itself_reads_what_was_written(tmp_path: Path) -> None:
    mlflow = require("mlflow")
    for _ in range(2):  # a folder that is there is added to
        MLflow().write([TOLD], tmp_path / "store", "audits")
    client = mlflow.MlflowClient(tracking_uri=(tmp_path / "store").as_uri())
    runs = client.search_runs([client.get_experiment_by_name("audits").experiment_id])
    assert [run.info.run_name for run in runs] == ["first", "first"]
    assert runs[0].data.metrics["gap/leak"] == 0.3
    assert runs[0].data.params["key7"] == "7"
    assert runs[0].data.tags["scheme"] == "fedmd"
    history = client.get_metric_history(runs[0].info.run_id, "gap/round_leak")
    assert [(one.step, one.value) for one in history] == [(1, 0.1), (2, 0.3)]


@pytest.mark.slow
def test_wandb_itself_writes_an_offline_run(tmp_path: Path) -> None:
    require("wandb")
    WandB().write([TOLD], tmp_path / "out", "audits")
    (run,) = (tmp_path / "out" / "wandb").glob("offline-run-*")
    (record,) = run.glob("*.wandb")
    assert b"gap/leak" in record.read_bytes()
    assert not list(run.glob("files/wandb-metadata.json"))
