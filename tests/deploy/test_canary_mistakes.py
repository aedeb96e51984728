"""How the commands that plant canaries say no."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from loopback import Loopback, faithful

from logitleak import config as configs
from logitleak.cli.command import main
from logitleak.config import AttackConfig
from logitleak.deploy.config import of_run
from logitleak.deploy.folders import divide
from logitleak.deploy.server import serve
from logitleak.errors import UserError
from logitleak.stages.run import attack_run

Tiny = Callable[..., dict[str, Any]]


@pytest.mark.parametrize("count", ["1", "3", "-2", "201"])
@pytest.mark.parametrize("command", ["init", "split"])
def test_numbers_of_canaries(
    command: str, count: str, four_clients: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(four_clients("fedmd")))
    where = (
        [str(tmp_path / "out"), "--config", str(path)]
        if command == "init"
        else [str(path), str(tmp_path / "out")]
    )
    with pytest.raises(SystemExit) as ended:
        main(["deploy", command, *where, "--canaries", count])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert f"{count} canaries cannot be planted; give --canaries a number from 4 to 200" in said
    assert said.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["tiny.yaml"]


@pytest.mark.parametrize("command", ["init", "split"])
def test_one_domain(
    command: str, four_clients: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = four_clients("fedmd")
    values["data"] = {"source": "synthetic", "protocol": "one-domain"}
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(values))
    out = str(tmp_path / "out")
    where = [out, "--config", str(path)] if command == "init" else [str(path), out]
    with pytest.raises(SystemExit) as ended:
        main(["deploy", command, *where, "--canaries", "4"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert 'the protocol "one-domain" has none; leave --canaries out' in said
    assert said.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["tiny.yaml"]


@pytest.mark.slow
def test_data_that_are_divided_already(
    four_clients: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(four_clients("fedmd")))
    main(["deploy", "split", str(path), str(tmp_path / "data"), "--canaries", "4"])
    given = ["--config", str(path), "--data", str(tmp_path / "data")]
    with pytest.raises(SystemExit):
        main(["deploy", "init", str(tmp_path / "dep"), *given, "--canaries", "4"])
    assert "give --canaries to `logitleak deploy split` instead" in capsys.readouterr().err
    main(["deploy", "init", str(tmp_path / "dep"), *given])
    assert "where the data were divided so" in (tmp_path / "dep" / "README.md").read_text()


def test_games_of_simulations(four_clients: Tiny, tmp_path: Path) -> None:
    """A setting that is not heeded must not look as if it were."""
    config = configs.parse(four_clients("fedmd") | {"game": {"design": "decoys"}})
    with pytest.raises(UserError, match="game.design=decoys has no effect here; .* give --canaries"):
        divide(config, tmp_path / "data")


@pytest.mark.slow
def test_a_damaged_game(four_clients: Tiny, tmp_path: Path) -> None:
    values = four_clients("dsfl")
    divide(configs.parse(values), tmp_path / "data", 4)
    config = of_run(configs.parse(values), tmp_path / "data", tmp_path / "run")
    run = serve(config, lambda form: Loopback(config, faithful))
    shutil.copytree(tmp_path / "data" / "sealed", run.sealed)
    (run.sealed / "game.json").write_text(json.dumps({"design": "recorded"}))
    with pytest.raises(UserError, match="game.json is damaged"):
        attack_run(run.path, "ridge", AttackConfig(attack="ridge"))
