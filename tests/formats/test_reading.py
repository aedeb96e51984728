"""Files of a run are read by what they are declared to be: damage is told in a line, and other versions are borne."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import logitleak
from logitleak.errors import UserError
from logitleak.formats import FILES
from logitleak.formats.parts import Record
from logitleak.formats.reading import read_file

MADE_UP: dict[str, dict[str, Any]] = {
    "audit": {
        "format": 1, "title": "Made up", "noun": "person", "seed": 0, "config_hash": "0", "versions": {},
        "threat_model": {"scheme": "FedMD", "adversary": "", "sees": [], "knows": [], "never_sees": []},
        "truth": False, "game": None, "data": {}, "fast": True, "lab": None, "audits": [],
    },
    "defend": {
        "format": 1, "title": "Made up", "noun": "person", "seeds": [0], "scheme": "fedmd", "clients": 2, "rounds": 1,
        "targets": 4, "versions": {}, "measure": "success", "fast": True, "bought": None, "hidden": 0.1, "kept": 0.8,
        "lines": [],
        "recommendation": {"kind": "unknown", "setting": None, "sentence": "", "hides": [], "keeps": []},
    },
}  # fmt: skip
"""Files that no run of one federation writes."""

ESSENTIAL = {
    "metrics": ("data", "classes"), "attack": ("needs",), "audit": ("audits",), "defend": ("hidden",),
    "training": ("losses", 0, "loss"), "run": ("format",), "timings": ("threads",), "result": ("accuracy", "trials"),
}  # fmt: skip
"""A key without which a file means nothing."""


@pytest.fixture(scope="module")
def files(
    tiny_config: Callable[..., dict[str, Any]],
    people: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, dict[str, Any]]:
    """One of every kind, as it is written."""
    values = tiny_config(people(tmp_path_factory.mktemp("reading") / "people", identities=8), targets=4)
    run = logitleak.run(
        values | {"attacks": {"gap": {"attack": "gap"}}}, tmp_path_factory.mktemp("run") / "run"
    )
    there = {
        "metrics": "metrics.json", "run": "run.json", "training": "sealed/training.json",
        "attack": "attacks/gap/attack.json", "timings": "timings.json",
    }  # fmt: skip
    found = MADE_UP | {name: json.loads((run.path / path).read_text()) for name, path in there.items()}
    return found | {"result": found["metrics"]["attacks"]["gap"]}


def change(values: dict[str, Any], path: tuple[Any, ...], how: Callable[[Any, Any], None]) -> str:
    changed: Any = copy.deepcopy(values)
    part = changed
    for key in path[:-1]:
        part = part[key]
    how(part, path[-1])
    return json.dumps(changed)


def common(written: Any, found: Any) -> Any:
    """What was found, without keys that were not written."""
    if isinstance(written, dict):
        return {key: common(value, found[key]) for key, value in written.items()}
    if isinstance(written, list):
        return [common(one, other) for one, other in zip(written, found, strict=True)]
    return found


def dumped(values: Any) -> str:
    """Text in which a count is no fraction."""
    return json.dumps(values, sort_keys=True)


def refused(path: Path, name: str, text: str | bytes) -> str:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError) as error:
        read_file(path, FILES[name])
    said = str(error.value)
    assert said.startswith(str(path))
    assert "\n" not in said
    return said


@pytest.mark.parametrize("name", FILES)
def test_what_was_written_is_read_as_it_is(
    name: str, files: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps(files[name]))
    assert dumped(common(files[name], read_file(path, FILES[name]))) == dumped(files[name])


@pytest.mark.parametrize("name", FILES)
def test_damage_is_told_in_a_line(name: str, files: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    path, values, place = tmp_path / f"{name}.json", files[name], ESSENTIAL[name]
    dotted, helps = ".".join(map(str, place)), FILES[name].remedy
    missing = refused(path, name, change(values, place, lambda part, key: part.pop(key)))
    assert f'"{dotted}" is missing' in missing
    for wrong in ("many", {"a": 1}, [1], float("nan"), float("inf")):
        said = refused(
            path, name, change(values, place, lambda part, key, value=wrong: part.update({key: value}))
        )
        assert "format" in said if name == "run" else f'"{dotted}' in said
    assert helps in missing
    whole = json.dumps(values)
    assert "cannot be read" in refused(path, name, whole[: len(whole) // 2])
    for foreign in (
        "",
        "[]",
        "null",
        "{}" if name != "run" else "7",
        b"\xff\xfe\x00",
        "[" * 100_000,
        "9" * 5000,
    ):
        refused(path, name, foreign)


@pytest.mark.parametrize("name", [name for name, model in FILES.items() if "format" in model.model_fields])
def test_another_format_is_refused(name: str, files: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    said = refused(tmp_path / "file.json", name, json.dumps(files[name] | {"format": 2}))
    assert "has format 2; this version reads format 1" in said


def test_a_number_that_is_none_is_null_where_null_may_be(
    files: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    path = tmp_path / "metrics.json"
    place = ("attacks", "gap", "accuracy", "value")
    path.write_text(change(files["metrics"], place, lambda part, key: part.update({key: float("nan")})))
    assert read_file(path, FILES["metrics"])["attacks"]["gap"]["accuracy"]["value"] is None


def test_keys_of_other_versions(files: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    values = copy.deepcopy(files["metrics"])
    for key in ("identity", "made_by"):
        del values[key]
    del values["data"]["aggregation"]
    values["data"]["of a later version"] = 1
    path.write_text(json.dumps(values))
    found = read_file(path, FILES["metrics"])
    assert found["identity"] is None
    assert found["made_by"] == {"federation": None, "attacks": {}}
    assert found["data"]["aggregation"] == "plain"
    assert "of a later version" not in found["data"]


def test_times_of_other_versions(files: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / "timings.json"
    path.write_text(json.dumps(files["timings"] | {"machine": "mine", "a_later_stage_seconds": 2.5}))
    assert read_file(path, FILES["timings"]) == files["timings"] | {"a_later_stage_seconds": 2.5}
    said = refused(path, "timings", json.dumps(files["timings"] | {"federation_seconds": "long"}))
    assert '"federation_seconds"' in said


def _models(model: type[Record]) -> list[type[Record]]:
    return [model, *(found for sub in model.__subclasses__() for found in _models(sub))]


def test_what_keys_meant_is_said_of_keys_that_there_are() -> None:
    for model in _models(Record):
        names = {field.alias or name for name, field in model.model_fields.items()}
        assert set(model.older) <= names, model


def test_a_long_text_is_cut_and_printable(files: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    text = "\x1b[31m" + "x" * 10_000
    said = refused(
        tmp_path / "metrics.json", "metrics",
        change(files["metrics"], ("data", "classes"), lambda part, key: part.update({key: text})),
    )  # fmt: skip
    assert "\x1b" not in said
    assert len(said) < 500
