"""Runs whose attacker knows the defenses: what it reads, what is said of it, and that nothing else changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from test_seen import recorded

import logitleak
from logitleak import config as configs
from logitleak.attacks.undone import UndoneView
from logitleak.attacks.views import FirstRounds, LastRound, SumView, ViewOf
from logitleak.cli import main
from logitleak.errors import UserError
from logitleak.files.storage import read_json, read_tensors, write_json
from logitleak.stages.audit import audit
from logitleak.stages.knowing import as_attacked, as_read, described, undoable
from logitleak.stages.seen import ONLOOKERS, onlookers_of
from logitleak.stages.threat import threat_model
from logitleak.types import ServerView
from logitleak.wire.transcript import Transcript

Tiny = Callable[..., dict[str, Any]]

WARM = {"name": "temperature", "settings": {"tau": 4.0}}


def defended(folder: Path, defenses: list[dict[str, Any]], **more: Any) -> Transcript:
    """A transcript of two rounds whose manifest names these defenses."""
    recorded(folder / "wire", **more)
    path = folder / "wire" / "manifest.json"
    write_json(path, json.loads(path.read_text()) | {"defenses": defenses})
    return Transcript(folder)


def same(one: ServerView, other: ServerView, factor: float = 1.0) -> bool:
    """Whether all uploads of one view are those of another, times a factor."""
    return one.clients == other.clients and all(
        torch.equal(one.client_logits(k, t)[0], other.client_logits(k, t)[0])
        and torch.allclose(one.client_logits(k, t)[1], factor * other.client_logits(k, t)[1])
        for k in range(one.clients)
        for t in range(1, one.rounds + 1)
    )


def test_without_defenses_every_view_is_what_it_was(tmp_path: Path) -> None:
    view = defended(tmp_path, [])
    for one in (view, ViewOf(view), SumView(view), LastRound(view)):
        assert as_read(one) is one
    assert described(view) == []
    assert onlookers_of(view) is ONLOOKERS
    # and where the defenses that there are cannot be undone
    view = defended(tmp_path / "b", [{"name": "hard-label"}, {"name": "gaussian"}, {"name": "round"}])
    assert as_read(view) is view
    assert onlookers_of(view) is ONLOOKERS


def test_single_clients_sums_and_last_rounds(tmp_path: Path) -> None:
    view = defended(tmp_path, [WARM])
    assert same(as_read(view), view, 4.0)
    assert same(as_read(LastRound(view)), LastRound(view), 4.0)
    assert same(as_read(FirstRounds(view, 1)), FirstRounds(view, 1), 4.0)
    for members in (None, [0, 1]):
        assert same(as_read(SumView(view, members)), SumView(view, members), 4.0)
    assert as_read(view, "as-sent") is view


def test_clients_with_other_defenses(tmp_path: Path) -> None:
    """Each is read by its own; their sum as it is, unless those in it have the same."""
    view = defended(tmp_path, [WARM | {"clients": [2, 3]}, {"name": "round", "clients": [0]}])
    read = as_read(view)
    assert isinstance(read, UndoneView)
    for client, factor in ((1, 1.0), (2, 4.0), (3, 4.0)):
        torch.testing.assert_close(
            read.client_logits(client, 1)[1], factor * view.client_logits(client, 1)[1]
        )
    whole, other = SumView(view), SumView(view, [0, 1])
    assert as_read(whole) is whole
    assert as_read(other) is other
    half = SumView(view, [2, 3])
    assert same(as_read(half), half, 4.0)


def test_the_mean_of_softened_probabilities_is_read_as_it_is(tmp_path: Path) -> None:
    view = defended(tmp_path, [WARM], kind="probabilities")
    whole = SumView(view)
    assert as_read(whole) is whole
    assert not same(as_read(view), view)


def test_shared_models_have_none(tmp_path: Path, tiny_config: Tiny) -> None:
    given = tiny_config()
    given["federation"] = {"scheme": "fedavg", "clients": 2, "rounds": 1, "batch": 16}
    run = logitleak.run(given | {"attacks": {}}, tmp_path / "run").path
    assert undoable(Transcript(run)) == []


def test_a_strangers_settings_make_no_infinite_numbers(tmp_path: Path) -> None:
    view = defended(tmp_path, [{"name": "temperature", "settings": {"tau": 1e300}}])
    assert same(as_read(view), view)


def test_what_is_said_of_it(tmp_path: Path) -> None:
    warm = {"name": "temperature"}
    (said,) = described(defended(tmp_path / "a", [warm, {"name": "hard-label"}, warm]))
    assert said.startswith("Which defenses clients were told to use")
    assert said.count("temperature: Outputs as the model said them") == 1
    assert "hard-label" not in said
    hidden = defended(tmp_path / "b", [{"name": "hard-label"}, {"name": "\x1b[31mmagic"}])
    (said,) = described(hidden)
    assert said.endswith("and read uploads as they are.")
    for is_recorded in (False, True):
        assert said in threat_model(hidden, is_recorded)["knows"]


@pytest.mark.parametrize("scheme", ["fedmd", "dsfl", "fedgems"])
def test_an_attack_of_a_run_undoes_what_it_can(scheme: str, tiny_config: Tiny, tmp_path: Path) -> None:
    """Beside it one that reads uploads as they were sent, in the same run."""
    given = tiny_config()
    given["federation"] |= {"scheme": scheme, "settings": {}}
    given |= {"defenses": [{"name": "sparse", "settings": {"share": 0.6}}, WARM]}
    entry = {"attack": "ridge", "tune": "none"}
    given["attacks"] = {"ridge": entry, "naive": entry | {"uploads": "as-sent"}}
    run = logitleak.run(given, tmp_path / "run")
    knowing, naive = (read_json(run.path / "attacks" / name / "attack.json") for name in ("ridge", "naive"))
    sentence = "The server knows which defenses clients use, and undoes what can be undone of them."
    assert (knowing["uploads"], naive["uploads"]) == ("undone", "as-sent")
    assert sentence in knowing["assumptions"]
    assert sentence not in naive["assumptions"]
    settings = run.metrics["attacks"]["naive"]["settings"]
    assert settings["uploads"] == "as-sent"
    images = [
        read_tensors(run.path / "attacks" / name / "final.safetensors")["images"] for name in given["attacks"]
    ]
    assert not torch.equal(*images)
    assert torch.equal(images[0], logitleak.attack(run.path, "ridge", tau=None).images) or scheme != "fedmd"
    assert any("Attacks undo what can be undone." in line for line in run.metrics["threat_model"]["knows"])
    assert "sparse: The rows that were answered" in run.report.read_text()


def test_twins_are_tuned_and_audited_by_who_knows(
    tiny_config: Tiny, people: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mock twins and real worlds are read alike; an audit says what both readings find."""
    home = people(tmp_path / "people", identities=24, images=6)
    given = tiny_config(home, targets=4) | {"game": {"design": "twins"}, "defenses": [WARM]}
    given["attacks"] = {"gap": {"tune": "public"}}
    read: list[bool] = []
    plain = UndoneView.client_logits

    def spied(self: UndoneView, client: int, round: int) -> tuple[torch.Tensor, torch.Tensor]:
        inner = self.inner
        while isinstance(inner, ViewOf):
            inner = inner.inner
        assert isinstance(inner, Transcript)
        read.append("lab" in str(inner.folder))
        return plain(self, client, round)

    monkeypatch.setattr(UndoneView, "client_logits", spied)
    run = logitleak.run(given, tmp_path / "run")
    assert set(read) == {True, False}
    found = audit(run.path, fast=True).found
    identity = next(one for one in found["audits"] if one["audit"] == "identity")
    onlookers = [view["onlooker"] for view in identity["views"]]
    assert onlookers[:2] == ["server", "server, uploads as sent"]
    page = (run.path / "audit.html").read_text()
    assert "server, uploads as sent" in page


def test_the_command_line_and_mistakes(
    tiny_config: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = tiny_config() | {"defenses": [WARM], "attacks": {}}
    run = logitleak.run(given, tmp_path / "run").path
    main(
        ["attack", str(run), "--attack", "ridge", "--name", "naive", "--uploads", "as-sent", "--set", "tau=3"]
    )
    assert read_json(run / "attacks" / "naive" / "attack.json")["uploads"] == "as-sent"
    assert "uploads: as-sent" in (run / "config.yaml").read_text()
    capsys.readouterr()
    with pytest.raises(UserError, match="uploads"):
        configs.parse({"attacks": {"gap": {"uploads": "guessed"}}})


def test_hashes_are_what_they_were() -> None:
    """Attacks from before there was a choice go on, and who reads uploads as sent is another."""
    plain, naive = (configs.parse({"attacks": {"gap": entry}}) for entry in ({}, {"uploads": "as-sent"}))
    assert "uploads" not in plain.to_yaml()
    assert plain.attack_hash("gap") != naive.attack_hash("gap")
    assert plain.federation_hash() == naive.federation_hash()
    assert configs.parse(naive.model_dump(mode="json")) == naive
    assert as_attacked.__module__ == "logitleak.stages.knowing"
