"""A federation with a participant that attacks, from the configuration to the report."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from killed import resumed_equals_straight

import logitleak
from logitleak.config import parse
from logitleak.files.storage import read_tensors
from logitleak.stages.check import check
from logitleak.stages.verify import verify
from logitleak.wire.transcript import Transcript

Config = Callable[..., dict[str, Any]]

SMALL = {"gan_steps": 3, "gan_batch": 4, "gan_filters": 4, "gan_latent": 6, "samples": 2}


def participated(config: dict[str, Any]) -> dict[str, Any]:
    federation = {
        "scheme": "fedavg-gan",
        "clients": 2,
        "rounds": 3,
        "batch": 16,
        "settings": SMALL,
    }
    return config | {"federation": federation, "attacks": ["gan-attack"]}


def test_twins_and_the_threat_model(tmp_path: Path, tiny_config: Config) -> None:
    config = participated(tiny_config(targets=4)) | {"game": {"design": "twins"}}
    config["attacks"] = {"gan-attack": {}, "gs": {"settings": {"steps": 1}}}
    run = logitleak.run(config, tmp_path / "run")
    assert run.metrics["attacks"]["gan-attack"]["leak"]
    sees = " ".join(run.metrics["threat_model"]["sees"])
    assert "malicious participant" in sees
    assert "Active" in " ".join(run.metrics["attacks"]["gan-attack"]["assumptions"])
    worlds = [run.path / "worlds" / str(n) for n in (0, 1)]
    for world in worlds:
        view = Transcript(world)
        assert view.parties == 2
        assert [len(view.generated(t)[0]) for t in (1, 2, 3)] == [0, 4, 4]
        assert view.generated(3)[0].tolist() == view.knowledge.target_labels.tolist()
        assert verify(world).findings.errors == 0
    firsts = [read_tensors(w / "wire" / "round-01" / "train.safetensors") for w in worlds]
    assert all(torch.equal(v, firsts[1][k]) for k, v in firsts[0].items() if k.startswith("sent/"))
    lasts = [Transcript(world).generated(3)[1] for world in worlds]
    assert not torch.equal(*lasts)  # private images reach it by the model, and by nothing else


def test_killed_between_rounds(tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    config = participated(tiny_config())
    assert resumed_equals_straight(config, tmp_path, monkeypatch) == 1 + 3 * 2 + 2


def test_its_images_are_attacked_without_the_truth(tmp_path: Path, tiny_config: Config) -> None:
    run = logitleak.run(participated(tiny_config()), tmp_path / "run").path
    alone = tmp_path / "alone"
    shutil.copytree(run / "wire", alone / "wire")
    assert torch.equal(
        logitleak.attack(alone, "gan-attack").images, logitleak.attack(run, "gan-attack").images
    )


def test_where_there_is_no_such_participant(tiny_config: Config) -> None:
    config = participated(tiny_config())
    config["federation"] = config["federation"] | {"scheme": "fedavg", "settings": {}}
    with pytest.raises(logitleak.UserError, match='"gan-attack" needs images that a participant has made'):
        check(parse(config))


def test_where_nobody_is_no_target(tiny_config: Config) -> None:
    config = participated(tiny_config())
    config["data"] = {k: v for k, v in config["data"].items() if not k.startswith("degradation")}
    config["data"] |= {"protocol": "one-domain"}
    with pytest.raises(logitleak.UserError, match="needs people who are no targets"):
        check(parse(config))
