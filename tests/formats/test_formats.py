"""The files of a run are what they are declared to be, and the published schemas say so."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

import logitleak
from logitleak.formats import FILES, AttackFile, Metrics, ResultFile, RunFile, TimingsFile, TrainingFile
from logitleak.formats.__main__ import schema
from logitleak.formats.parts import Record, Share

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", FILES)
def test_the_published_schema_is_current(name: str) -> None:
    """`python -m logitleak.formats docs/formats` writes it anew."""
    assert (ROOT / "docs" / "formats" / f"{name}.schema.json").read_text() == schema(FILES[name])


def test_nothing_here_needs_torch() -> None:
    code = "import sys, logitleak.formats; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture(scope="module")
def run(
    tiny_config: Callable[..., dict[str, Any]],
    people: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Any:
    values = tiny_config(people(tmp_path_factory.mktemp("formats") / "people", identities=8), targets=4)
    values |= {"game": {"design": "twins"}, "attacks": {"gap": {"attack": "gap"}}}
    return logitleak.run(values, tmp_path_factory.mktemp("run") / "run")


def test_the_files_of_a_run_fit(run: Any) -> None:
    for pattern, model in (
        ("metrics.json", Metrics), ("run.json", RunFile), ("timings.json", TimingsFile),
        ("sealed/training-*.json", TrainingFile), ("worlds/*/attacks/*/attack.json", AttackFile),
    ):  # fmt: skip
        found = list(run.path.glob(pattern))
        assert found, pattern
        for path in found:
            model.model_validate(json.loads(path.read_text()))


def test_an_attack_that_was_scored_is_the_result_of_a_cell(run: Any) -> None:
    scored = json.loads((run.path / "metrics.json").read_text())["attacks"]
    ResultFile.checked(scored["gap"])
    with pytest.raises(ValidationError, match="attack"):  # nobody sweeps over rivals
        ResultFile.checked(scored["public-mean"])


@pytest.mark.parametrize("wrong", ["soon", None, float("nan"), [1.0]])
def test_only_seconds_are_written_as_times(wrong: Any) -> None:
    times = {"federation_seconds": 1.5, "attack_a_b_seconds": 2, "peak_memory_mib": 100, "threads": 1}
    assert TimingsFile.checked(times) == times
    with pytest.raises(ValidationError, match="attack_a_b_seconds"):
        TimingsFile.checked(times | {"attack_a_b_seconds": wrong})
    with pytest.raises(ValidationError, match="machine"):
        TimingsFile.checked(times | {"machine": "mine"})


@pytest.mark.parametrize("path", [("game", "in"), ("utility",), ("attacks", "gap", "leak", "chosen", "wins")])
def test_what_does_not_fit_is_never_written(run: Any, path: tuple[str, ...]) -> None:
    metrics = json.loads((run.path / "metrics.json").read_text())
    part = metrics
    for key in path[:-1]:
        part = part[key]
    kept = part.pop(path[-1])
    with pytest.raises(ValidationError, match=path[-1]):
        Metrics.checked(metrics)
    part[path[-1]] = kept
    part["one more"] = 1
    with pytest.raises(ValidationError, match="one more"):
        Metrics.checked(metrics)


def _models(model: Any, seen: set[type[Record]]) -> set[type[Record]]:
    if isinstance(model, type) and issubclass(model, Record):
        if model not in seen:
            seen.add(model)
            for field in model.model_fields.values():
                _models(field.annotation, seen)
    else:
        for inner in get_args(model):
            _models(inner, seen)
    return seen


def test_the_page_names_every_key_of_metrics() -> None:
    text = (ROOT / "docs" / "run-folder.md").read_text().split("## metrics.json")[1]
    told = set(re.findall(r"[\w-]+", text))
    keys = {
        field.alias or name
        for model in _models(Metrics, set()) - {Share}
        for name, field in model.model_fields.items()
    }
    assert keys - told == set()
