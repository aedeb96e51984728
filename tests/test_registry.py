"""The tables of plug-ins."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, PositiveFloat, field_validator

from logitleak import registry
from logitleak.errors import UserError, did_you_mean

EVERYTHING = [(kind, name) for kind, table in registry.TABLES.items() for name in table]


@pytest.mark.parametrize(("kind", "name"), EVERYTHING)
def test_every_entry_loads(kind: str, name: str) -> None:
    entry = registry.TABLES[kind][name]
    loaded = registry.load(kind, name)
    module, _, attribute = entry.target.partition(":")
    assert loaded is getattr(importlib.import_module(module), attribute)
    assert loaded.__doc__


@pytest.mark.parametrize(("kind", "name"), EVERYTHING)
def test_summaries_are_one_short_line(kind: str, name: str) -> None:
    summary = registry.TABLES[kind][name].summary
    assert 0 < len(summary) <= 70
    assert "\n" not in summary
    assert not summary.endswith(".")


@pytest.mark.parametrize(
    ("kind", "name"), [(k, n) for k, n in EVERYTHING if k not in ("model", "metric", "tracker")]
)
def test_settings_have_defaults_and_take_no_unknown_key(kind: str, name: str) -> None:
    model = registry.load(kind, name).Settings
    registry.settings(name, model, {})
    with pytest.raises(UserError, match='has no setting "zzz"'):
        registry.settings(name, model, {"zzz": 1})


def test_names_and_check() -> None:
    assert "ridge" in registry.names("attack")
    registry.check("attack", "ridge")
    with pytest.raises(UserError, match='No attack is called "rige". Did you mean "ridge"?'):
        registry.check("attack", "rige")
    with pytest.raises(UserError, match='No prior is called "xyz". There is: '):
        registry.load("prior", "xyz")


def test_did_you_mean() -> None:
    assert did_you_mean("rige", ["ridge", "tbi"]) == ' Did you mean "ridge"?'
    assert did_you_mean("x", ["b", "a"]) == " There is: a, b."
    assert did_you_mean("x", []) == ""


class Nested(BaseModel):
    model_config = ConfigDict(extra="forbid")

    depth: int = 0


class Example(BaseModel):
    model_config = ConfigDict(extra="forbid")

    tau: PositiveFloat = 1.0
    q: Literal["full", "half"] = "full"
    nested: Nested = Nested()
    even: int = 0

    @field_validator("even")
    @classmethod
    def _even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("must be even.")
        return value


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tua": 1}, 'attack x has no setting "tua". Did you mean "tau"?'),
        ({"tau": 0}, 'attack x: "tau": Input should be greater than 0 (given: 0).'),
        ({"tau": float("inf")}, 'attack x: "tau" must be a finite number (given: inf).'),
        ({"tau": float("nan")}, 'attack x: "tau" must be a finite number (given: nan).'),
        ({"q": "ful"}, "attack x: \"q\": Input should be 'full' or 'half' (given: 'ful')."),
        ({"nested": {"depht": 1}}, 'attack x has no setting "nested.depht". Did you mean "depth"?'),
        ({"nested": {"depth": "deep"}}, '"nested.depth"'),
        ({"even": 3}, 'attack x: "even": must be even.'),
    ],
)
def test_settings_problems(values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError) as caught:
        registry.settings("attack x", Example, values)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert ".." not in str(caught.value)


def test_settings_are_parsed() -> None:
    assert registry.settings("x", Example, {"tau": 2, "nested": {"depth": 3}}) == Example(
        tau=2, nested=Nested(depth=3)
    )


def test_nothing_heavy_is_imported() -> None:
    code = "import sys, logitleak.registry; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed package that adds a model, one that cannot be loaded, and one by a name that is taken."""
    described = tmp_path / "stranger-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text(
        "[logitleak.model]\nflat = strangers_models:Flat\ngone = strangers_models:Gone\ncnn = strangers_models:Flat\n"
    )
    (tmp_path / "strangers_models.py").write_text(
        "from torch import nn\n\n\nclass Flat(nn.Sequential):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    registry._installed.cache_clear()
    yield tmp_path
    registry._installed.cache_clear()


def test_packages_add_plugins(package: Path) -> None:
    assert registry.names("model") == [*registry.TABLES["model"], "flat", "gone"]
    assert registry.load("model", "flat").__name__ == "Flat"
    assert registry.entries("model")["flat"].summary == "Of the package stranger"
    assert (
        registry.load("model", "cnn").__module__ == "logitleak.models.cnn"
    )  # the tool's own name stays its own
    with pytest.raises(UserError, match=r'"flat"\?'):
        registry.load("model", "flta")


def test_a_package_without_what_it_declares_is_one_line(package: Path) -> None:
    with pytest.raises(UserError, match=r'The model "gone" \(strangers_models:Gone\) cannot be loaded'):
        registry.load("model", "gone")
