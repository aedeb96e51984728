"""What `logitleak ls` lists: what is registered, and the settings of one plug-in."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from logitleak import cli
from logitleak.registry import TABLES

Fails = Callable[..., str]


def test_ls(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["ls"])
    out = capsys.readouterr().out
    for kind, table in TABLES.items():
        assert f"{kind}\n" in out
        for name, entry in table.items():
            assert re.search(rf"^  {name} +{re.escape(entry.summary)}$", out, re.MULTILINE)
    cli.main(["ls", "attack"])
    out = capsys.readouterr().out
    assert out.startswith("attack\n")
    assert "fedmd" not in out


def test_the_settings_of_an_attack(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["ls", "attack", "pli"])
    out = capsys.readouterr().out
    assert out.startswith("attack pli: Paired-logits inversion")
    assert re.search(r"^  gamma +number >= 0, default 0\.03\n +weight γ of the prior", out, re.MULTILINE)
    assert re.search(
        r"^  tau +number > 0, default 3\.0\n +softmax temperature τ", out, re.MULTILINE
    )  # of a base
    assert '"each-epoch" | "end" | "never", default "each-epoch"' in out
    assert max(map(len, out.splitlines())) <= 115


def test_settings_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["ls", "prior", "deblurgan", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (found["kind"], found["name"]) == ("prior", "deblurgan")
    settings = {setting["name"]: setting for setting in found["settings"]}
    assert settings["batch"] == {
        "name": "batch",
        "type": "integer > 0",
        "required": False,
        "default": 8,
        "description": "Adam; the rate is constant for the share ``constant`` of the steps and then falls linearly to "
        "zero.",
    }
    assert settings["checkpoint_every"]["description"].startswith("steps between checkpoints")


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in TABLES for name in TABLES[kind]])
def test_every_setting_is_described(kind: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["ls", kind, name, "--json"])
    for setting in json.loads(capsys.readouterr().out)["settings"]:
        assert setting["description"], setting["name"]


def test_one_without_settings(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["ls", "model", "cnn"])
    assert capsys.readouterr().out.endswith("  It has no settings.\n")


def test_a_name_that_is_none(fails: Fails) -> None:
    assert fails("ls", "attack", "plii").endswith('No attack is called "plii". Did you mean "pli"?')
    assert fails("ls", "atack", "pli").endswith('There is no kind "atack". Did you mean "attack"?')
