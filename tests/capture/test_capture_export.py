"""What is exported can be imported; what no capture can hold is said in one line, and nothing is left behind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from make_capture import J, N, describe

from logitleak.errors import UserError
from logitleak.files.storage import read_json, read_tensors, write_json, write_tensors
from logitleak.stages.folder import RunFolder
from logitleak.stages.record import export_run, import_recorded
from logitleak.types import Event, Payload, PublicData
from logitleak.wire.transcript import Transcript
from logitleak.wire.writer import Manifest, TranscriptWriter, Uploads


@pytest.fixture
def run(shipped_capture: Path, tmp_path: Path) -> Path:
    """Two clients, a and b, and two rounds."""
    return import_recorded(shipped_capture, tmp_path / "run").path


def silence(run: Path, round: int, client: int) -> None:
    """Make a client absent in a round."""
    path = run / f"wire/round-{round:02d}/upload.safetensors"
    table = {
        name: value for name, value in read_tensors(path).items() if not name.startswith(f"client-{client}/")
    }
    write_tensors(path, table, {"absent": json.dumps({str(client): "was asleep"})})


def ask_for_nothing(run: Path, round: int) -> None:
    """Make a round one in which the server asked for no row, as FedGEMS does when it knows all."""
    nothing = {f"client-{k}/logits": torch.empty(0, J) for k in (0, 1)}
    path = run / f"wire/round-{round:02d}/upload.safetensors"
    write_tensors(path, nothing | {"sent/rows": torch.empty(0, dtype=torch.int64)})


def described(capture: Path) -> Any:
    return yaml.safe_load((capture / "capture.yaml").read_text())


def test_a_round_without_rows_is_left_out(run: Path, tmp_path: Path) -> None:
    ask_for_nothing(run, 1)
    export_run(run, tmp_path / "capture")
    assert described(tmp_path / "capture")["rounds"] == [2]
    assert not (tmp_path / "capture/logits/round-1").exists()
    before, after = (
        Transcript(run),
        Transcript(import_recorded(tmp_path / "capture", tmp_path / "again").path),
    )
    assert after.rounds == 1
    assert torch.equal(after.client_logits(1, 1)[1], before.client_logits(1, 2)[1])
    assert torch.equal(after.server_logits(1), before.server_logits(2))


def test_a_client_that_never_answered_is_left_out(run: Path, tmp_path: Path) -> None:
    for round in (1, 2):
        silence(run, round, client=0)
    export_run(run, tmp_path / "capture")
    assert described(tmp_path / "capture")["clients"] == ["1"]
    before, after = (
        Transcript(run),
        Transcript(import_recorded(tmp_path / "capture", tmp_path / "again").path),
    )
    assert after.clients == 1
    assert torch.equal(after.client_logits(0, 2)[1], before.client_logits(1, 2)[1])


def test_a_client_that_answered_once_is_kept(run: Path, tmp_path: Path) -> None:
    silence(run, 1, client=1)
    export_run(run, tmp_path / "capture")
    assert (described(tmp_path / "capture")["clients"], described(tmp_path / "capture")["rounds"]) == (2, 2)
    after = Transcript(import_recorded(tmp_path / "capture", tmp_path / "again").path)
    assert [len(after.client_logits(1, round)[0]) for round in (1, 2)] == [0, N]


def refused(run: Path, title: str | None = None) -> str:
    """Why a run is not exported."""
    with pytest.raises(UserError) as caught:
        export_run(run, run.parent / "capture", title)
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in run.parent.iterdir()) == [run.name]
    return str(caught.value)


def test_no_row_at_all(run: Path) -> None:
    for round in (1, 2):
        ask_for_nothing(run, round)
    assert "No client sent a row in any round" in refused(run)


def test_texts_that_no_description_may_have(run: Path) -> None:
    assert '"title": String should have at most 200 characters' in refused(run, "x" * 201)
    manifest = run / "wire/manifest.json"
    write_json(manifest, read_json(manifest) | {"scheme": ""})
    assert '"scheme": String should have at least 1 character' in refused(run)


def test_more_files_than_a_capture_may_have(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logitleak.capture.description._MOST_UPLOADS", 3)
    assert "clients times rounds are more than 3" in refused(run)


def test_a_single_class(tmp_path: Path) -> None:
    manifest = Manifest(
        format=1, scheme="fedmd", clients=1, rounds=1, num_classes=1, target_labels=[0],
        uploads=Uploads(action="upload", tensor="logits", kind="logits"), server_logits=False,
    )  # fmt: skip
    images = torch.zeros(3, 3, 16, 16, dtype=torch.uint8)
    public = PublicData(images, torch.zeros(3, dtype=torch.int64), torch.ones(3, dtype=torch.bool))
    writer = TranscriptWriter(tmp_path / "run/wire", manifest, public)
    writer.write(Event(1, "upload", Payload(), {0: Payload({"logits": torch.zeros(3, 1)})}))
    writer.commit(1)
    assert '"classes": Input should be greater than or equal to 2' in refused(tmp_path / "run")


@pytest.mark.parametrize("text", ['{"data": null}', '{"data": [1]}', "[]", "null", "3"])
def test_a_report_that_says_nothing_of_the_data(run: Path, tmp_path: Path, text: str) -> None:
    (run / "metrics.json").write_text(text)
    export_run(run, tmp_path / "capture")
    assert described(tmp_path / "capture")["title"] == "run"


def test_what_a_label_stands_for_is_kept(shipped_capture: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(shipped_capture, tmp_path / "pilot"))
    describe(source, noun="product")
    run = import_recorded(source, tmp_path / "run").path
    export_run(run, tmp_path / "capture")
    assert described(tmp_path / "capture")["noun"] == "product"
    again = import_recorded(tmp_path / "capture", tmp_path / "again").path
    assert RunFolder(again).config().noun == "product"
    export_run(run / "wire", tmp_path / "bare")
    assert described(tmp_path / "bare")["noun"] == "person"


@pytest.mark.parametrize("text", ["[", "noun: 3", "noun: 'A B'", "\0", "[]"])
def test_a_configuration_that_says_nothing_of_labels(run: Path, tmp_path: Path, text: str) -> None:
    (run / "config.yaml").write_text(text)
    export_run(run, tmp_path / "capture")
    assert described(tmp_path / "capture")["noun"] == "person"


def test_a_place_that_is_the_folder_itself(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run)
    for out in (".", "new/..", ".."):
        with pytest.raises(UserError, match="is there; choose another"):
            export_run(run, out)
