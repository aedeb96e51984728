"""Reading, overriding and validating configurations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from logitleak.config import AttackConfig, Config, load, model, parse, parse_with
from logitleak.errors import UserError


def test_defaults_are_valid() -> None:
    assert load(None) == Config() == parse({})


def test_shipped_configs_are_valid() -> None:
    files = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
    assert files
    for file in files:
        load(file)


def test_round_trip(tmp_path: Path, tiny_config: Callable[..., dict[str, Any]]) -> None:
    config = parse(tiny_config(tmp_path / "Zoë"))
    (tmp_path / "config.yaml").write_text(config.to_yaml(), encoding="utf-8")
    again = load(tmp_path / "config.yaml")
    assert again == config
    assert again.hash() == config.hash()


def test_frozen() -> None:
    with pytest.raises(ValidationError):
        Config().seed = 3  # type: ignore[misc]


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert load(tmp_path / "empty.yaml") == Config()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("ridge", {"ridge": "ridge"}),
        (["ridge", "tbi"], {"ridge": "ridge", "tbi": "tbi"}),
        ({"ridge": None}, {"ridge": "ridge"}),
        ({"mine": {"attack": "pli"}, "tbi": {}}, {"mine": "pli", "tbi": "tbi"}),
        ([], {}),
        ({}, {}),
    ],
)
def test_ways_to_write_attacks(given: Any, expected: dict[str, str]) -> None:
    assert {name: entry.attack for name, entry in parse({"attacks": given}).attacks.items()} == expected


def test_overrides() -> None:
    config = parse_with(
        {"data": {"targets": 3}, "attacks": ["ridge"]},
        [
            "data.targets=7",
            "federation.models=[cnn, mlp]",
            "attacks.ridge.settings.tau=2",
            "data.root=",
            "seed=5",
        ],
    )
    assert (config.data.targets, config.seed, config.data.root) == (7, 5, None)
    assert config.federation.models == ["cnn", "mlp"]
    assert config.attacks == {"ridge": AttackConfig(attack="ridge", settings={"tau": 2})}


def test_overrides_do_not_change_what_was_given() -> None:
    values: dict[str, Any] = {"data": {"settings": {}}}
    parse_with(values, ["data.targets=7", "data.settings.insensitive=masked"])
    assert values == {"data": {"settings": {}}}


def test_an_override_may_hold_equals_signs() -> None:
    assert parse_with({}, ["data.root=/a=b"]).data.root == Path("/a=b")


@pytest.mark.parametrize(
    ("values", "whole", "federation"),
    [
        ({}, "c60463bd98f66107", "9b3ce3ba190ea6f2"),
        ({"seed": 3, "federation": {"clients": 4}}, "d15fb64ef13d000b", "3f6acd68c3781e22"),
        ({"game": {"design": "twins"}}, "b233dad3b0f7fa3d", "c8ccc9e8d39128e4"),
    ],
)
def test_hashes_from_before_there_was_a_minimum_of_clients(
    values: dict[str, Any], whole: str, federation: str
) -> None:
    config = parse(values)
    assert (config.hash(), config.federation_hash()) == (whole, federation)
    named = parse_with(values, ["federation.minimum_clients=1"])
    assert named.hash() != whole
    assert named.federation_hash() != federation


def test_more_clients_than_there_are_cannot_be_needed() -> None:
    with pytest.raises(UserError, match="minimum_clients is 3, and there are 2 clients; lower it"):
        parse({"federation": {"clients": 2, "minimum_clients": 3}})


def test_hashes() -> None:
    base = parse({"attacks": ["ridge", "tbi"]})
    assert base.hash() == parse({"attacks": ["ridge", "tbi"]}).hash()
    assert base.hash() == parse({"attacks": ["ridge", "tbi"], "device": "cpu"}).hash()
    other_attack = parse_with({"attacks": ["ridge", "tbi"]}, ["attacks.tbi.settings.tau=9"])
    assert other_attack.hash() != base.hash()
    assert other_attack.federation_hash() == base.federation_hash()
    assert other_attack.attack_hash("ridge") == base.attack_hash("ridge")
    assert other_attack.attack_hash("tbi") != base.attack_hash("tbi")
    for override in ("seed=1", "data.targets=3", "federation.rounds=2"):
        changed = parse_with({"attacks": ["ridge", "tbi"]}, [override])
        assert changed.federation_hash() != base.federation_hash()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sed": 1}, 'no setting "sed". Did you mean "seed"'),
        ({"data": {"target": 3}}, 'no setting "data.target". Did you mean "targets"'),
        ({"federation": {"rouns": 3}}, 'no setting "federation.rouns". Did you mean "rounds"'),
        ({"zzz": 1}, 'no setting "zzz". There is: '),
        ({"seed": -1}, '"seed"'),
        ({"seed": "abc"}, '"seed"'),
        ({"device": "tpu"}, '"device"'),
        ({"data": None}, '"data"'),
        ({"data": []}, '"data"'),
        ({"data": {"image_size": 8}}, '"data.image_size"'),
        ({"data": {"held_out": 0.9}}, '"data.held_out"'),
        ({"data": {"held_out": float("nan")}}, '"data.held_out"'),
        ({"data": {"targets": 0}}, '"data.targets"'),
        ({"data": {"source": "foldr"}}, 'No data is called "foldr". Did you mean "folder"'),
        ({"data": {"degradation": "blurr"}}, 'No degradation is called "blurr". Did you mean "blur"'),
        ({"federation": {"clients": 0}}, '"federation.clients"'),
        ({"federation": {"rounds": 0}}, '"federation.rounds"'),
        ({"federation": {"lr": 0}}, '"federation.lr"'),
        ({"federation": {"lr": float("inf")}}, '"federation.lr"'),
        ({"federation": {"weight_decay": float("inf")}}, '"federation.weight_decay"'),
        ({"federation": {"models": []}}, '"federation.models"'),
        ({"federation": {"models": [3]}}, '"federation.models.0"'),
        ({"federation": {"models": ["cnnn"]}}, 'No model is called "cnnn". Did you mean "cnn"'),
        ({"federation": {"server_model": "nope"}}, 'No model is called "nope"'),
        ({"federation": {"scheme": "fedm"}}, 'No scheme is called "fedm". Did you mean "fedmd"'),
        ({"attacks": ["rigde"]}, 'No attack is called "rigde". Did you mean "ridge"'),
        (
            {"attacks": {"a": {"attack": "ridge", "prior": "men"}}},
            'No prior is called "men". Did you mean "mean"',
        ),
        ({"attacks": {"ridge": {"setings": {}}}}, "setings"),
        ({"attacks": {"ridge": "tau=3"}}, '"attacks.ridge" must hold keys and values'),
        ({"attacks": {"ridge": [1]}}, '"attacks.ridge" must hold keys and values'),
        ({"attacks": {"../../x": {}}}, "An attack cannot be called '../../x'"),
        ({"attacks": [{"ridge": 1}]}, "An attack cannot be called"),
        ({"attacks": {1: {}}}, "An attack cannot be called 1"),
        ({"attacks": {"": {}}}, "An attack cannot be called ''"),
        ({"attacks": {"prior": {"attack": "ridge"}}}, '"prior" is what the report calls a trivial rival'),
        ({"attacks": 3}, '"attacks"'),
        ({"attacks": None}, '"attacks"'),
        ({1: 2}, "The config"),
    ],
)
def test_problems_are_one_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(values)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.targets", "is no override; write section.key=value"),
        ("=3", "is no override"),
        ("data.targets=[1", 'The value of "data.targets" is not valid YAML'),
        ("data.targets=2001-99-99", 'The value of "data.targets" is not valid YAML'),
        ("data.root=" + "[" * 5000, 'The value of "data.root" is not valid YAML'),
        ("data.tagets=3", 'Did you mean "targets"'),
        ("seed.x=1", '"seed"'),
        ("data.source.x=1", '"data.source.x" cannot be set: "source" holds a plain value'),
        ("attacks=[[1]]", "An attack cannot be called"),
    ],
)
def test_bad_overrides(override: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_with({"data": {"source": "folder"}}, [override])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_override_in_a_bad_list_of_attacks() -> None:
    with pytest.raises(UserError, match="An attack cannot be called"):
        parse_with({"attacks": [{"ridge": 1}]}, ["attacks.ridge.settings.tau=1"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"data: [", "is not valid YAML"),
        (b"a: b: c", "is not valid YAML"),
        (b"\xff\xfe\x00", "is not UTF-8 text"),
        (b"seed: 2001-99-99", "is not valid YAML"),
        (b"seed: !!python/object/apply:os.system [true]", "is not valid YAML"),
        (b"- a\n- b\n", "must hold keys and values, not a list"),
        (b"hello", "must hold keys and values, not a text"),
    ],
)
def test_bad_files(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "bad.yaml").write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        load(tmp_path / "bad.yaml")
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no config file"):
        load(tmp_path / "none.yaml")


def test_digest_is_of_the_content_not_the_order() -> None:
    assert model._digest({"a": 1, "b": 2}) == model._digest({"b": 2, "a": 1})
