"""A capture is attacked like the transcript it came from, and says what it does not know."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from make_capture import describe, logits, outputs
from PIL import Image

import logitleak
from logitleak.config import AttackConfig
from logitleak.errors import UserError
from logitleak.files.storage import write_tensors
from logitleak.sealed.files import read_truth
from logitleak.stages.record import export_run, import_recorded
from logitleak.stages.run import attack_run, run, write_report
from logitleak.stages.verify import verify
from logitleak.wire.transcript import Transcript


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory, tiny_config: Callable[..., dict[str, Any]]) -> Path:
    config = tiny_config() | {"attacks": {"ridge": {"attack": "ridge", "tune": "none"}}}
    return run(config, tmp_path_factory.mktemp("simulated") / "run").path


@pytest.fixture
def imported(shipped_capture: Path, tmp_path: Path) -> Path:
    return import_recorded(shipped_capture, tmp_path / "run").path


def metrics(folder: Path) -> Any:
    return json.loads((folder / "metrics.json").read_text())


def test_the_same_attack_result(simulated: Path, tmp_path: Path) -> None:
    export_run(simulated, tmp_path / "capture")
    imported = import_recorded(tmp_path / "capture", tmp_path / "again")
    assert imported.findings.errors == 0
    before, after = Transcript(simulated), Transcript(imported.path)
    assert torch.equal(before.knowledge.public.images, after.knowledge.public.images)
    for client in range(before.clients):
        assert torch.equal(before.client_logits(client, 2)[1], after.client_logits(client, 2)[1])
    original, again = (logitleak.attack(path, "ridge") for path in (simulated, imported.path))
    assert torch.equal(original.images, again.images)
    assert torch.equal(original.chosen, again.chosen)


def test_the_same_scores(simulated: Path, tmp_path: Path) -> None:
    """With the truth beside the capture, an imported federation is scored as the simulated one was."""
    export_run(simulated, tmp_path / "capture")
    truth = read_truth(simulated / "sealed")
    for row, (image, label) in enumerate(zip(truth.images, truth.labels.tolist(), strict=True)):
        folder = tmp_path / "capture/private" / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{row}.png")
    path = tmp_path / "capture/capture.yaml"
    owners = {str(label): truth.owner_of(label) for label in truth.target_labels.tolist()}
    described = yaml.safe_load(path.read_text()) | {"private": {"images": "private", "owners": owners}}
    path.write_text(yaml.safe_dump(described | {"names": list(truth.names)}))
    again = import_recorded(tmp_path / "capture", tmp_path / "again").path
    attack_run(again, "ridge", AttackConfig(attack="ridge", tune="none"))
    ours, theirs = metrics(again)["attacks"], metrics(simulated)["attacks"]
    # what a recording calls round 1 need not be the first, so no client's upload in it is taken for a null
    nulls = [
        [null for null in e.pop("nulls") if null["kind"] != "own-model"]
        for e in (ours["ridge"], theirs["ridge"])
    ]
    assert [len(kept) for kept in nulls] == [0, 1]
    assert ours == theirs
    assert metrics(again)["data"]["private"] == metrics(simulated)["data"]["private"]


@pytest.mark.parametrize("scheme", ["dsfl", "fedgems"])
def test_the_same_result_of_other_schemes(
    scheme: str, tiny_config: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    """Probabilities without labels, and some rows only."""
    config = tiny_config() | {"attacks": {}}
    config["federation"] |= {"scheme": scheme, "settings": {}}
    simulated = run(config, tmp_path / "run").path
    export_run(simulated, tmp_path / "capture")
    again = import_recorded(tmp_path / "capture", tmp_path / "again").path
    assert torch.equal(logitleak.attack(simulated).images, logitleak.attack(again).images)


def test_scores_and_report(imported: Path) -> None:
    result = attack_run(imported, "ridge", AttackConfig(attack="ridge"))
    scored = result.metrics["attacks"]
    assert set(scored) == {"ridge", "prior", "public-mean"}
    assert [row["owner"] for row in scored["ridge"]["per_target"]] == [0, 1]
    page = result.report.read_text()
    assert "FedMD on A pilot" in page
    assert "recorded elsewhere" in page


def test_what_nobody_said_is_not_in_the_report(imported: Path) -> None:
    data = attack_run(imported, "ridge", AttackConfig(attack="ridge")).metrics["data"]
    unsaid = {"source", "protocol", "identities", "held_out", "holdings", "synthetic"}
    assert {key for key, value in data.items() if value is None} == unsaid
    assert data["recorded"] is True
    model = metrics(imported)["threat_model"]
    assert "not checked" in model["adversary"]
    assert not any("trained without" in line for line in model["knows"])
    assert metrics(imported)["federation"] == {
        "losses": [], "ended": None, "bytes": [], "weights": [], "absent": [],
    }  # fmt: skip


def test_without_truth(capture: Path, tmp_path: Path) -> None:
    describe(capture, private=None)
    folder = import_recorded(capture, tmp_path / "run").path
    assert not (folder / "sealed").exists()
    result = attack_run(folder, "ridge", AttackConfig(attack="ridge"))
    assert "accuracy" not in result.metrics["attacks"]["ridge"]
    assert "without the truth nobody can say" in " ".join(result.report.read_text().split())


def test_without_owners(capture: Path, tmp_path: Path) -> None:
    describe(capture, private__owners=None)
    result = attack_run(
        import_recorded(capture, tmp_path / "run").path, "ridge", AttackConfig(attack="ridge")
    )
    scored = result.metrics["attacks"]["ridge"]
    assert scored["accuracy"]["trials"] == 2
    assert scored["owner_named"] is None
    assert scored["client_ssim"] is None
    assert {row["owner"] for row in scored["per_target"]} == {None}
    assert result.metrics["data"]["private"] is None
    assert "client None" not in result.report.read_text()


def test_without_any_label(capture: Path, tmp_path: Path) -> None:
    table = (capture / "public.csv").read_text().replace("file,label", "file,note")
    (capture / "public.csv").write_text(table)
    describe(capture, public__labelled=False)
    result = attack_run(
        import_recorded(capture, tmp_path / "run").path, "ridge", AttackConfig(attack="ridge")
    )
    assert set(result.metrics["attacks"]) == {"ridge", "prior"}
    assert result.metrics["data"]["chance"] == 0.5


def test_without_the_server(capture: Path, tmp_path: Path) -> None:
    describe(capture, server=None)
    folder = import_recorded(capture, tmp_path / "run").path
    with pytest.raises(UserError, match="needs the server's own outputs on the public set"):
        attack_run(folder, "ridge", AttackConfig(attack="ridge"))
    settings = {"width": 16, "steps": 2, "batch": 4}
    attack_run(folder, "tbi", AttackConfig(attack="tbi", settings=settings))
    entry = AttackConfig(attack="ridge", settings={"q": "client"})
    page = attack_run(folder, "alone", entry).report.read_text()
    assert "its own model" not in page
    assert any("No model of its own" in line for line in metrics(folder)["threat_model"]["knows"])
    with pytest.raises(UserError, match="no logits of the server's own"):
        Transcript(folder).server_logits(1)


def test_gaps(capture: Path, tmp_path: Path) -> None:
    (capture / "logits/2-b.npz").unlink()
    folder = import_recorded(capture, tmp_path / "run").path
    view = Transcript(folder)
    rows, values = view.client_logits(1, 2)
    assert (rows.shape, values.shape) == ((0,), (0, 6))
    assert len(view.client_logits(0, 2)[0]) == 24
    assert attack_run(folder, "ridge", AttackConfig(attack="ridge")).report.is_file()


def test_rows_of_each_client(capture: Path, tmp_path: Path) -> None:
    outputs(capture, "1-a", x=logits(1, 0, rows=10), rows=np.arange(10)[::-1].copy())
    view = Transcript(import_recorded(capture, tmp_path / "run").path)
    assert view.client_logits(0, 1)[0].tolist() == list(range(9, -1, -1))
    assert len(view.client_logits(1, 1)[0]) == 24
    assert logitleak.attack(view, "ridge").images.isfinite().all()


def test_a_bare_transcript(simulated: Path, tmp_path: Path) -> None:
    shutil.copytree(simulated / "wire", tmp_path / "wire")
    (tmp_path / "wire/note.txt").write_text("not copied")
    with pytest.raises(UserError, match=r"logitleak import .*wire --out RUN"):
        attack_run(tmp_path / "wire", "ridge", AttackConfig(attack="ridge"))
    folder = import_recorded(tmp_path / "wire", tmp_path / "run").path
    assert not (folder / "wire/note.txt").exists()
    attack_run(folder, "ridge", AttackConfig(attack="ridge"))
    kept = "attacks/ridge/final.safetensors"
    assert (folder / kept).read_bytes() == (simulated / kept).read_bytes()


def test_what_happened_before_round_1_is_kept(imported: Path, tmp_path: Path) -> None:
    path = imported / "wire/round-00/learn.safetensors"
    write_tensors(path, {}, {"absent": json.dumps({"1": "came late"})})
    copy = import_recorded(imported / "wire", tmp_path / "copy").path
    assert Transcript(copy).absent(0) == {"learn": {1: "came late"}}
    write_tensors(path, {}, {"absent": "[]"})
    with pytest.raises(UserError, match=r"learn\.safetensors has a damaged list of absent clients"):
        import_recorded(imported / "wire", tmp_path / "again")
    assert any("damaged list" in line for line in verify(imported).findings.lines())


def test_an_import_is_whole_or_nothing(
    shipped_capture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("logitleak.stages.record.write_truth", fail)
    with pytest.raises(OSError, match="space"):
        import_recorded(shipped_capture, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_import_left(shipped_capture: Path, imported: Path, tmp_path: Path) -> None:
    """The run that it was about to replace comes back, and is not replaced without a word."""
    imported.rename(tmp_path / f".run.{os.getpid()}.old")
    (tmp_path / f".run.{os.getpid()}.partial").mkdir()
    with pytest.raises(UserError, match="holds a run; choose another --out, or give --overwrite"):
        import_recorded(shipped_capture, imported)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_folders_in_use(shipped_capture: Path, imported: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds a run; choose another --out, or give --overwrite"):
        import_recorded(shipped_capture, imported)
    attack_run(imported, "ridge", AttackConfig(attack="ridge"))
    import_recorded(shipped_capture, imported, overwrite=True)
    assert not (imported / "attacks").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    with pytest.raises(UserError, match="not empty and no run folder"):
        import_recorded(shipped_capture, tmp_path / "full", overwrite=True)
    with pytest.raises(UserError, match="overlaps"):
        import_recorded(shipped_capture, shipped_capture / "run")
    with pytest.raises(UserError, match="is there; choose another"):
        export_run(imported, tmp_path / "full")


def test_a_recorded_run_is_not_run_again(imported: Path) -> None:
    with pytest.raises(UserError, match="was recorded elsewhere and cannot be run again"):
        run(imported / "config.yaml", imported)


def test_the_same_capture_is_the_same_run(shipped_capture: Path, tmp_path: Path) -> None:
    first, second = (import_recorded(shipped_capture, tmp_path / name).path for name in ("a", "b"))
    assert (first / "config.yaml").read_bytes() == (second / "config.yaml").read_bytes()
    assert yaml.safe_load((first / "config.yaml").read_text())["recorded"]["title"] == "A pilot"


def test_a_report_without_an_attack(imported: Path) -> None:
    assert "No attack was run" in write_report(imported).report.read_text()


def test_weights_are_no_capture(tiny_config: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    config = tiny_config() | {"attacks": {}}
    config["federation"] |= {"scheme": "fedavg", "settings": {}}
    folder = run(config, tmp_path / "run").path
    with pytest.raises(UserError, match="shares models and no outputs"):
        export_run(folder, tmp_path / "capture")
