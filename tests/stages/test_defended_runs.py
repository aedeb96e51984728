"""Federations whose clients defend themselves, from the configuration to the report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from killed import kill_in_round_2
from test_resume import assert_same

import logitleak
from logitleak import config as configs
from logitleak import registry
from logitleak.defenses.draws import Seeded
from logitleak.defenses.training import TrainingDefense
from logitleak.errors import UserError
from logitleak.files.storage import read_tensors, write_tensors
from logitleak.seeds import derive_int
from logitleak.stages.check import check
from logitleak.stages.plan import plan
from logitleak.stages.threat import threat_model
from logitleak.stages.verify import verify
from logitleak.stages.worlds import attack_seed
from logitleak.wire.transcript import Transcript
from needs import require

Tiny = Callable[..., dict[str, Any]]

SCHEMES = ("fedmd", "dsfl", "fedgems")


def values(tiny: Tiny, scheme: str = "fedmd", **more: Any) -> dict[str, Any]:
    given = tiny()
    given["federation"] |= {"scheme": scheme, "settings": {}}
    return given | {"attacks": {}} | more


def wire(run: Path) -> dict[str, torch.Tensor]:
    return {
        f"{path.relative_to(run)}:{name}": value
        for path in sorted((run / "wire").rglob("*.safetensors"))
        for name, value in read_tensors(path).items()
    }


def doubts(run: Path) -> list[str]:
    """What validation says against uploads, of a transcript without errors."""
    findings = verify(run).findings
    assert findings.errors == 0
    return [line for line in findings.lines() if "was to use the defense" in line]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", registry.names("defense"))
def test_runs_to_the_end_and_goes_on_alike(
    name: str, scheme: str, tiny_config: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "dp-sgd":
        require("opacus")
    given = values(tiny_config, scheme, defenses=[name])
    straight = logitleak.run(given, tmp_path / "straight")
    assert doubts(straight.path) == []

    kill_in_round_2(given, tmp_path / "killed", monkeypatch)
    logitleak.run(given, tmp_path / "killed")
    assert_same(straight.path, tmp_path / "killed")

    (line,) = [line for line in straight.metrics["threat_model"]["sees"] if f"({name})" in line]
    assert "Guarantee: " in line
    learnt = issubclass(registry.load("defense", name), TrainingDefense)
    acts = "learn their private images in another way" if learnt else "change their outputs first"
    assert f"All clients {acts} ({name}): " in line
    assert name in straight.report.read_text()
    manifest = json.loads((straight.path / "wire" / "manifest.json").read_text())
    assert [entry["name"] for entry in manifest["defenses"]] == [name]


def test_an_empty_list_changes_nothing(tiny_config: Tiny, tmp_path: Path) -> None:
    """Not one byte of the transcript or of the configuration, and nothing in the numbers."""
    plain = tiny_config() | {"attacks": ["ridge"]}
    without = logitleak.run(plain, tmp_path / "a").path
    empty = logitleak.run(plain | {"defenses": []}, tmp_path / "b").path
    assert_same(without, empty)
    for name in ("config.yaml", "wire/manifest.json", "wire/round-02/upload.safetensors"):
        assert (without / name).read_bytes() == (empty / name).read_bytes()
    assert "defenses" not in (without / "config.yaml").read_text()
    assert "defenses" not in (without / "wire" / "manifest.json").read_text()


def test_hashes_are_what_they_were() -> None:
    """Runs from before there were defenses go on, and those with defenses are others."""
    plain, empty = configs.parse({}), configs.parse({"defenses": []})
    assert (plain.hash(), plain.federation_hash()) == (empty.hash(), empty.federation_hash())
    assert (plain.hash(), plain.federation_hash()) == ("c60463bd98f66107", "9b3ce3ba190ea6f2")
    defended = configs.parse({"defenses": ["round"]})
    assert defended.federation_hash() != plain.federation_hash()
    assert configs.parse({"defenses": [{"name": "round"}]}) == defended
    assert configs.parse(defended.model_dump(mode="json")) == defended


def test_only_some_clients(tiny_config: Tiny, tmp_path: Path) -> None:
    """In round 1 the upload of a client without a defense is what it would have been."""
    plain = logitleak.run(values(tiny_config), tmp_path / "plain").path
    given = values(tiny_config, defenses=[{"name": "hard-label", "clients": [1]}])
    run = logitleak.run(given, tmp_path / "run")
    first, second = (read_tensors(path / "wire/round-01/upload.safetensors") for path in (plain, run.path))
    assert torch.equal(first["client-0/logits"], second["client-0/logits"])
    assert torch.equal(first["client-1/logits"].argmax(1), second["client-1/logits"].argmax(1))
    assert not torch.equal(first["client-1/logits"], second["client-1/logits"])
    assert any(
        line.startswith("Client 1 changes its outputs") for line in run.metrics["threat_model"]["sees"]
    )


def test_order_counts(tiny_config: Tiny, tmp_path: Path) -> None:
    """The last one acts on what leaves."""
    softened = ["temperature", {"name": "round", "settings": {"digits": 1}}]
    run = logitleak.run(values(tiny_config, "dsfl", defenses=softened), tmp_path / "a")
    other = logitleak.run(values(tiny_config, "dsfl", defenses=softened[::-1]), tmp_path / "b")
    assert not torch.equal(
        *(wire(each.path)["wire/round-01/upload.safetensors:client-0/probabilities"] for each in (run, other))
    )
    facts = verify(run.path).facts
    assert "defense     round (all clients): uploads are held against it" in facts
    assert "defense     temperature (all clients): uploads show no trace of it" in facts
    facts = verify(other.path).facts
    assert "defense     round (all clients): others act after it, so uploads need not show it" in facts


def test_worlds_have_noise_of_their_own(
    tiny_config: Tiny, people: Callable[..., Path], tmp_path: Path
) -> None:
    """Noise that twin worlds shared would cancel when they are compared."""
    home = people(tmp_path / "people", identities=8, images=6)
    given = tiny_config(home, targets=4) | {"attacks": {}, "game": {"design": "twins"}}
    given["federation"] |= {"settings": {"transfer_private": 0, "revisit": 0, "digest": 0}}
    given["defenses"] = [{"name": "gaussian", "settings": {"clip": 1000.0}}]
    run = logitleak.run(given, tmp_path / "run").path
    first, second = (
        read_tensors(run / "worlds" / str(n) / "wire/round-01/upload.safetensors")["client-0/logits"]
        for n in range(2)
    )
    gap = first - second  # nobody learnt anything private, so all of it is noise
    assert 1.2 < float(gap.std()) < 1.6


def test_attackers_cannot_draw_the_noise() -> None:
    """What they are given is another seed, for attacks and for all that they play by themselves."""
    real = Seeded(5, "defense", 0, 0, "gaussian", 1).uniform((100,), 1)
    for seed in (attack_seed(5), derive_int(attack_seed(5), "lab")):
        assert not bool((Seeded(seed, "defense", 0, 0, "gaussian", 1).uniform((100,), 1) == real).any())


def test_an_upload_that_did_not_come_through_its_defense_is_found(tiny_config: Tiny, tmp_path: Path) -> None:
    run = logitleak.run(values(tiny_config, defenses=["hard-label"]), tmp_path / "run").path
    file = run / "wire/round-02/upload.safetensors"
    tensors = read_tensors(file)
    tensors["client-1/logits"] = torch.randn_like(tensors["client-1/logits"])
    write_tensors(file, tensors, {"scalars": "{}"})
    (line,) = doubts(run)
    assert line.startswith("warning  wire/round-02: client 1 was to use the defense hard-label last")


def test_a_strangers_manifest(tiny_config: Tiny, tmp_path: Path) -> None:
    """A defense that is not known here, or settings that it has not, are told and stop nothing."""
    run = logitleak.run(values(tiny_config, defenses=["round"]), tmp_path / "run").path
    path = run / "wire" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["defenses"] = [
        {"name": "\x1b[31mmagic", "settings": {"x": [1]}, "clients": [0]},
        {"name": "round", "settings": {"digits": 99}, "clients": "all"},
    ]
    path.write_text(json.dumps(manifest))
    assert doubts(run) == []

    for recorded in (False, True):
        said = " ".join(threat_model(Transcript(run), recorded)["sees"])
        assert "not known here" in said
        assert "\x1b" not in said
    assert "which nobody checked" in said


def test_the_plan_says_what_they_promise_and_cost(tiny_config: Tiny) -> None:
    plain = plan(configs.parse(values(tiny_config)))
    assert not any(line.startswith("defense") for line in plain.lines())
    defenses = ["hide-column", {"name": "laplace", "clients": [1]}]
    defended = plan(configs.parse(values(tiny_config, defenses=defenses)))
    first, second = (line for line in defended.lines() if line.startswith("defense"))
    assert first == "defense     hide-column, all clients; guarantee: none"
    assert second.startswith("defense     laplace, client 1; guarantee: (ε, δ)-differential privacy at δ = 0")
    assert defended.disk.checkpoint * 3 == plain.disk.checkpoint * 5  # two understudies beside three models
    assert defended.memory.stages["federation"] > plain.memory.stages["federation"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"defenses": ["rond"]}, 'No defense is called "rond". Did you mean "round"?'),
        ({"defenses": [{"name": "round", "settings": {"digit": 1}}]}, 'defense round has no setting "digit"'),
        ({"defenses": [{"name": "round", "clients": [2]}]}, "is for client 2, and clients are 0 to 1"),
        ({"defenses": [{"name": "round", "clients": "some"}]}, "a list of client numbers such as"),
        ({"defenses": 3}, '"defenses" must be a list'),
    ],
)
def test_mistakes_are_one_line(change: dict[str, Any], said: str, tiny_config: Tiny) -> None:
    with pytest.raises(UserError, match=said.replace("?", r"\?")) as caught:
        check(configs.parse(values(tiny_config, **change)))
    assert "\n" not in str(caught.value)


def test_models_are_no_outputs(tiny_config: Tiny) -> None:
    given = values(tiny_config, "fedavg", defenses=["round"])
    with pytest.raises(UserError, match="clients of this scheme send weights"):
        check(configs.parse(given))
