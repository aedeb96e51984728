"""A stranger's federation, audited by those who were in against those who were out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from make_capture import describe, draw

from logitleak.capture.inspect import inspect
from logitleak.config import AttackConfig
from logitleak.sealed.files import read_game, read_truth
from logitleak.stages.record import export_run, import_recorded
from logitleak.stages.run import attack_run, run

ROOT = Path(__file__).parents[2]
NAMES = ["alice", "bob", "carol", "dan", "eve", "fay"]


@pytest.fixture
def played(capture: Path) -> Path:
    """Five targets: two in, two out by name and by number, and one who always took part."""
    for person in (2, 3, 4):
        for number in range(3):
            draw(capture / "private" / str(person) / f"{number}.png", person, 20 + number)
    table = capture / "public.csv"
    table.write_text(re.sub(r"([234]-[01].png,[234]),sensitive", r"\1,insensitive", table.read_text()))
    owners = {"alice": "a", "bob": "b", "2": "a", "3": "b", "4": "a"}
    game = {"in": ["alice", 3], "out": [2, "bob"]}
    describe(
        capture, names=NAMES, targets=[0, 1, 2, 3, 4], private__owners=owners, private__game=game,
    )  # fmt: skip
    return capture


def test_the_coins_are_sealed_and_the_report_shows_the_leak(played: Path, tmp_path: Path) -> None:
    assert inspect(played).findings.errors == 0
    folder = import_recorded(played, tmp_path / "run").path
    game = read_game(folder / "sealed")
    assert game is not None
    assert (game.design, game.worlds) == ("recorded", 1)
    assert game.units.tolist() == [0, 1, 2, 3]
    assert game.strata.tolist() == [0, 1, 0, 1]
    assert game.coins.tolist() == [[True, False, False, True]]
    assert read_truth(folder / "sealed").target_labels.tolist() == [0, 1, 2, 3, 4]
    result = attack_run(folder, "ridge", AttackConfig(attack="ridge"))
    assert result.metrics["game"]["design"] == "recorded"
    assert (result.metrics["game"]["units"], result.metrics["game"]["in"]) == (4, [2])
    ridge = result.metrics["attacks"]["ridge"]
    leak = ridge["leak"]["chosen"]
    assert (leak["in"]["trials"], leak["out"]["trials"]) == (2, 2)
    assert leak["auc"] is not None
    assert ridge["accuracy"]["trials"] == 3  # those in, and the one who always took part
    assert "alice" in result.report.read_text()


def test_without_owners_there_is_a_game_all_the_same(played: Path, tmp_path: Path) -> None:
    described = yaml.safe_load((played / "capture.yaml").read_text())
    del described["private"]["owners"]
    (played / "capture.yaml").write_text(yaml.safe_dump(described))
    folder = import_recorded(played, tmp_path / "run").path
    game = read_game(folder / "sealed")
    assert game is not None
    assert game.strata.tolist() == [-1] * 4
    leak = attack_run(folder, "ridge", AttackConfig(attack="ridge")).metrics["attacks"]["ridge"]["leak"]
    assert leak["owner"] is None
    assert leak["chosen"]["in"]["trials"] == 2


def test_images_of_those_out_are_needed_too(capture: Path) -> None:
    describe(capture, targets=[0, 1, 2], private__owners=None, private__game={"in": [0], "out": [2]})
    assert any("no private image of target 2" in line for line in inspect(capture).findings.lines())


def test_the_transcript_says_nothing_of_the_coins(played: Path, tmp_path: Path) -> None:
    """Whoever sees what travelled, or the configuration, learns nothing of who was in."""
    first = import_recorded(played, tmp_path / "first").path
    described = yaml.safe_load((played / "capture.yaml").read_text())
    described["private"]["game"] = {"in": [1, 2, 3], "out": [0]}
    (played / "capture.yaml").write_text(yaml.safe_dump(described))
    second = import_recorded(played, tmp_path / "second").path
    files = [p.relative_to(first) for p in sorted(first.rglob("*")) if p.is_file()]
    different = [str(p) for p in files if (first / p).read_bytes() != (second / p).read_bytes()]
    assert different == ["sealed/game.json"]


def test_an_import_without_a_game_seals_none(shipped_capture: Path, tmp_path: Path) -> None:
    folder = import_recorded(shipped_capture, tmp_path / "run").path
    assert not (folder / "sealed" / "game.json").exists()
    assert attack_run(folder, "ridge", AttackConfig(attack="ridge")).metrics["game"] is None


def test_an_export_of_a_run_with_decoys_tells_nobody(
    tiny_config: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    config = tiny_config(targets=4) | {"attacks": {}, "game": {"design": "decoys"}}
    for seed in range(20):  # some seeds leave a client with nobody, which is refused
        try:
            simulated = run(config | {"seed": seed}, tmp_path / str(seed)).path
        except ValueError:
            continue
        break
    assert json.loads((simulated / "sealed" / "game.json").read_text())["design"] == "decoys"
    export_run(simulated, tmp_path / "capture")
    described = yaml.safe_load((tmp_path / "capture" / "capture.yaml").read_text())
    assert "private" not in described
    assert not list((tmp_path / "capture").rglob("*game*"))
    assert not (import_recorded(tmp_path / "capture", tmp_path / "again").path / "sealed").exists()


@pytest.mark.parametrize(
    "side", [[0] * 10**5, ["x" * 200] * 10**5, [[0]] * 10**5, [{}] * 10**5, list(range(10**5))]
)
def test_a_game_of_a_stranger(capture: Path, side: list[Any]) -> None:
    """A hundred thousand wrong entries are a few short lines."""
    described = yaml.safe_load((capture / "capture.yaml").read_text())
    described["private"]["game"] = {"in": side, "out": side}
    (capture / "capture.yaml").unlink()
    text = json.dumps(described)[: 4 * 2**20]
    (capture / "capture.json").write_text(text)
    lines = inspect(capture).findings.lines()
    assert 0 < len(lines) < 20
    assert all(len(line) < 1000 for line in lines)


def test_the_example_of_the_documentation(capture: Path) -> None:
    text = (ROOT / "docs/capture.md").read_text().split("### Who was in and who was out")[1]
    match = re.search(r"```\n(private:.*?)```", text, re.DOTALL)
    assert match is not None
    given = yaml.safe_load(match[1])["private"]
    draw(capture / "private/2/0.png", 2, 20)
    describe(
        capture, clients=2, uploads__files="logits/{round}-{client}.npz", targets=[0, 1, 2], private=given
    )
    for round in (1, 2):
        for number, name in enumerate("ab"):
            (capture / f"logits/{round}-{name}.npz").rename(capture / f"logits/{round}-{number}.npz")
    assert inspect(capture).findings.errors == 0
