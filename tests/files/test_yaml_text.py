"""What a YAML file says, and what it may not say."""

from pathlib import Path

import pytest

from logitleak import config as configs
from logitleak.cli.command import main
from logitleak.errors import UserError
from logitleak.files import yaml_text


@pytest.mark.parametrize("text", ["seed: 1\ndata: {}\nseed: 2\n", "data: {targets: 3, targets: 4}\n"])
def test_a_key_that_stands_twice_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(
        UserError, match=r'config.yaml names "(seed|targets)" twice, the second time in line \d'
    ):
        configs.load(file)


def test_the_same_key_at_two_places_is_no_repetition() -> None:
    assert yaml_text.parse("a: {x: 1}\nb: {x: 1}\n") == {"a": {"x": 1}, "b": {"x": 1}}


def test_merge_keys_work_and_what_is_given_beside_them_wins() -> None:
    text = "base: &base {lr: 1, batch: 2}\nmine:\n  <<: *base\n  lr: 3\nagain: {<<: *base}\n"
    found = yaml_text.parse(text)
    assert found["mine"] == {"lr": 3, "batch": 2}
    assert found["again"] == found["base"] == {"lr": 1, "batch": 2}


def test_yes_and_no_are_words() -> None:
    assert yaml_text.parse("[yes, no, on, off, true, False]") == ["yes", "no", "on", "off", True, False]
    assert yaml_text.parse("{no: 1}") == {"no": 1}


@pytest.mark.parametrize("word", ["yes", "true", "off"])
@pytest.mark.parametrize("key", ["data.targets", "federation.lr", "attacks.pli.settings.tau", "seed"])
def test_no_number_is_made_of_a_truth_value(word: str, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["validate", "--set", "attacks={pli: {}}", f"{key}={word}"])
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert word in said
    assert "number" in said or "integer" in said


def test_truth_values_stay_what_they_are() -> None:
    for word, meant in (("yes", True), ("true", True), ("off", False)):
        assert configs.load(None, [f"data.disjoint={word}", "data.degradation=mask"]).data.disjoint is meant


@pytest.mark.parametrize(
    ("text", "kind"), [("[a, b]", "a list"), ("[]", "a list"), ("words", "a text"), ("0", "a plain value")]
)
def test_what_holds_no_keys_is_no_config(text: str, kind: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=f"must hold keys and values, not {kind}"):
        configs.load(file)
    file.write_text("# nothing\n")
    assert configs.load(file) == configs.load(None)


@pytest.mark.parametrize("raw", [b"seed: [1\n", b"seed: \xff\n", b"a: {b: *c}\n", b"? [1]\n: 2\n"])
def test_what_is_no_yaml_is_one_line(raw: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(raw)
    with pytest.raises(SystemExit, match="2"):
        main(["validate", str(file)])
    assert capsys.readouterr().err.startswith(f"logitleak: {file} is not ")
