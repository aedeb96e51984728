"""What travelled, on disk: written whole, and read with suspicion."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from logitleak.errors import UserError
from logitleak.files.storage import read_json, read_tensors, write_json, write_tensors
from logitleak.types import Event, Payload, PublicData
from logitleak.wire.transcript import Transcript
from logitleak.wire.writer import Manifest, TranscriptWriter, Uploads

N, J, K, T = 8, 5, 2, 3
PUBLIC = PublicData(
    torch.arange(N, dtype=torch.uint8)[:, None, None, None].expand(N, 3, 16, 16).contiguous(),
    torch.arange(N) % J,
    torch.arange(N) < 5,
)


def manifest(**changes: Any) -> Manifest:
    uploads = Uploads(action="upload", tensor="logits", kind=changes.pop("kind", "logits"))
    values = {"scheme": "fedmd", "clients": K, "rounds": T, "num_classes": J, "target_labels": [1, 3]}
    return Manifest.model_validate({"format": 1, "uploads": uploads, **values, **changes})


def values(client: int, round: int, rows: int = N) -> Tensor:
    return torch.rand(rows, J, generator=torch.Generator().manual_seed(10 * round + client))


def write(
    folder: Path, rows: Tensor | None = None, public: PublicData = PUBLIC, **changes: Any
) -> TranscriptWriter:
    """A whole transcript, as a scheme that uploads and digests writes it."""
    writer = TranscriptWriter(folder / "wire", manifest(**changes), public)
    for round in range(1, T + 1):
        sent = Payload() if rows is None else Payload({"rows": rows})
        count = N if rows is None else len(rows)
        received = {k: Payload({"logits": values(k, round, count)}, {"loss": 0.5}) for k in range(K)}
        writer.write(Event(round, "upload", sent, received))
        writer.write(
            Event(
                round, "digest", Payload({"consensus": values(9, round)}), dict.fromkeys(range(K), Payload())
            )
        )
        writer.write(Event(round, "revisit", Payload(), dict.fromkeys(range(K), Payload())))
        writer.write_own(round, values(7, round))
        writer.commit(round)
    return writer


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write(tmp_path)
    return tmp_path


def edit(path: Path, **changes: Tensor | None) -> None:
    """Change tensors of a file; None takes one out. A dash in a name stands for a slash after the client."""
    table: dict[str, Tensor] = read_tensors(path)
    for name, value in changes.items():
        key = name.replace("__", "/").replace("_", "-")
        table.pop(key, None)
        if value is not None:
            table[key] = value
    write_tensors(path, table)


def read_all(run: Path) -> None:
    transcript = Transcript(run)
    for round in range(1, transcript.rounds + 1):
        transcript.server_logits(round)
        for k in range(transcript.clients):
            transcript.client_logits(k, round)


def refused(run: Path) -> str:
    """What is said when a transcript is opened and read to the end; one line."""
    with pytest.raises(UserError) as caught:
        read_all(run)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_round_trip(run: Path) -> None:
    transcript = Transcript(run)
    assert (transcript.clients, transcript.rounds) == (K, T)
    assert transcript.provides == {"logits", "server_logits", "labels"}
    known = transcript.knowledge
    assert torch.equal(known.public.images, PUBLIC.images)
    assert known.public.labels is not None
    assert torch.equal(known.public.labels, torch.arange(N) % J)
    assert torch.equal(known.public.sensitive, PUBLIC.sensitive)
    assert known.target_labels.tolist() == [1, 3]
    assert known.num_classes == J
    for round in range(1, T + 1):
        assert torch.equal(transcript.server_logits(round), values(7, round))
        for k in range(K):
            rows, logits = transcript.client_logits(k, round)
            assert rows.tolist() == list(range(N))
            assert torch.equal(logits, values(k, round))


def test_the_wire_folder_itself(run: Path) -> None:
    assert Transcript(run / "wire").manifest == Transcript(str(run)).manifest


def test_files(run: Path) -> None:
    """A message that carries nothing leaves no file."""
    assert sorted(p.name for p in (run / "wire").iterdir()) == [
        "manifest.json", "public.safetensors", "round-01", "round-02", "round-03",
    ]  # fmt: skip
    assert sorted(p.name for p in (run / "wire" / "round-01").iterdir()) == [
        "digest.safetensors", "own.safetensors", "upload.safetensors",
    ]  # fmt: skip


def test_some_rows(tmp_path: Path) -> None:
    write(tmp_path, rows=torch.tensor([6, 0, 3]))
    rows, logits = Transcript(tmp_path).client_logits(1, 2)
    assert rows.tolist() == [6, 0, 3]
    assert logits.shape == (3, J)


def test_unlabelled(tmp_path: Path) -> None:
    write(tmp_path, public=PublicData(PUBLIC.images, None, PUBLIC.sensitive))
    transcript = Transcript(tmp_path)
    assert transcript.knowledge.public.labels is None
    assert "labels" not in transcript.provides


def test_probabilities_become_logarithms(tmp_path: Path) -> None:
    write(tmp_path, kind="probabilities")
    probabilities = values(0, 1).softmax(1)
    probabilities[0] = torch.tensor([1.0, 0, 0, 0, 0])
    edit(tmp_path / "wire/round-01/upload.safetensors", client_0__logits=probabilities)
    _, logits = Transcript(tmp_path).client_logits(0, 1)
    assert torch.isfinite(logits).all()
    torch.testing.assert_close(logits.softmax(1), probabilities)


def test_bytes_received(run: Path) -> None:
    transcript = Transcript(run)
    assert transcript.bytes_received(1) == {0: N * J * 4, 1: N * J * 4}
    stranger = {"client_9__logits": values(0, 1), "client_x__logits": values(0, 1)}
    edit(run / "wire/round-01/upload.safetensors", **stranger)
    assert Transcript(run).bytes_received(1) == {0: N * J * 4, 1: N * J * 4}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats(run: Path, dtype: torch.dtype) -> None:
    edit(run / "wire/round-01/upload.safetensors", client_0__logits=values(0, 1).to(dtype))
    _, logits = Transcript(run).client_logits(0, 1)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, values(0, 1), atol=1e-2, rtol=0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_values_that_are_not_finite(tmp_path: Path, bad: float, kind: str) -> None:
    if kind == "probabilities" and bad < 0:
        bad = float("nan")  # less than nothing is nothing
    write(tmp_path, kind=kind)
    broken = values(1, 2)
    broken[3, 2:4] = bad
    edit(tmp_path / "wire/round-02/upload.safetensors", client_1__logits=broken)
    said = refused(tmp_path)
    assert "upload of client 1 in round 2 holds 2 values that are NaN or infinite" in said


def test_own_values_that_are_not_finite(run: Path) -> None:
    edit(run / "wire/round-03/own.safetensors", logits=torch.full((N, J), float("nan")))
    assert f"own logits in round 3 holds {N * J} values" in refused(run)


def test_missing_rounds(run: Path) -> None:
    (run / "wire/round-02").rename(run / "wire/elsewhere")
    assert "lacks round 2, which its manifest claims" in refused(run)
    (run / "wire/round-03").rename(run / "wire/round-03.partial")
    assert "lacks round 2, 3, which its manifest claims" in refused(run)


def test_a_manifest_that_claims_a_billion_rounds(run: Path) -> None:
    write_json(run / "wire/manifest.json", manifest(rounds=10**9).model_dump())
    assert "lacks round 4, 5, 6, 7, 8" in refused(run)


def test_a_partial_round_is_not_read(run: Path) -> None:
    (run / "wire/round-04.partial").mkdir()
    assert Transcript(run).rounds == T


@pytest.mark.parametrize(
    ("file", "tensor", "value", "message"),
    [
        ("round-01/upload", "client_0__logits", torch.rand(N, J + 1), "shape [8, 6]; [8, 5] is needed"),
        (
            "round-02/upload",
            "client_1__logits",
            torch.rand(N - 1, J),
            "client 1 has shape [7, 5]; [8, 5] is needed",
        ),
        ("round-02/upload", "client_1__logits", torch.rand(N), "client 1 has shape [8]; [8, 5] is needed"),
        ("round-02/upload", "client_1__logits", None, 'holds no tensor called "client-1/logits"'),
        (
            "round-02/upload",
            "client_1__logits",
            torch.ones(N, J, dtype=torch.int64),
            "has type I64; one of F16",
        ),
        (
            "round-02/upload",
            "client_1__logits",
            torch.ones(N, J, dtype=torch.bool),
            "has type BOOL; one of F16",
        ),
        ("round-03/own", "logits", torch.rand(N, J + 2), "own logits has shape [8, 7]; [8, 5] is needed"),
        ("round-03/own", "logits", torch.ones(N, J, dtype=torch.uint8), "own logits has type U8"),
        ("round-03/own", "logits", None, 'holds no tensor called "logits"'),
        ("round-01/upload", "sent__rows", torch.arange(N) + 1, "row ids must be in 0..7"),
        ("round-01/upload", "sent__rows", -torch.arange(N), "row ids must be in 0..7"),
        (
            "round-01/upload",
            "sent__rows",
            torch.arange(N).float(),
            "row ids must be int64 [n], not float32 [8]",
        ),
        ("round-01/upload", "sent__rows", torch.zeros(N, 1, dtype=torch.int64), "row ids must be int64 [n]"),
        ("round-01/upload", "sent__rows", torch.arange(3), "has shape [8, 5]; [3, 5] is needed"),
        ("public", "images", None, 'holds no tensor called "images"'),
        ("public", "images", torch.zeros(N, 16, 16, 3, dtype=torch.uint8), "must be uint8 [N, 3, H, W]"),
        ("public", "images", torch.zeros(N, 3, 16, 16), "must be uint8 [N, 3, H, W] with N > 0, not float32"),
        ("public", "images", torch.zeros(0, 3, 16, 16, dtype=torch.uint8), "with N > 0"),
        ("public", "sensitive", None, 'holds no tensor called "sensitive"'),
        ("public", "sensitive", torch.ones(N + 1, dtype=torch.uint8), "sensitive must be [N] like images"),
        ("public", "labels", torch.arange(N - 1), "labels must be int64 [N] like images"),
        ("public", "labels", torch.zeros(N), "labels must be int64 [N] like images, not float32 [8]"),
        ("public", "labels", torch.full((N,), J), "labels must be in 0..4"),
        ("public", "labels", torch.full((N,), -1), "labels must be in 0..4"),
    ],
)
def test_what_does_not_fit(run: Path, file: str, tensor: str, value: Tensor | None, message: str) -> None:
    edit(run / "wire" / f"{file}.safetensors", **{tensor: value})
    assert message in refused(run)


@pytest.mark.parametrize("file", ["public", "round-01/own", "round-03/upload"])
@pytest.mark.parametrize("how", ["half", "empty", "gone"])
def test_damaged_files(run: Path, file: str, how: str) -> None:
    path = run / "wire" / f"{file}.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] if how == "half" else b"")
    if how == "gone":
        path.unlink()
    assert ("does not exist" if how == "gone" else "is damaged or no safetensors file") in refused(run)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(extra=1), "extra"),
        (lambda m: m.update(format=2), "is no manifest of format 1: format"),
        (lambda m: m.pop("clients"), "clients"),
        (lambda m: m.update(clients=0), "clients"),
        (lambda m: m.update(clients=3), 'holds no tensor called "client-2/logits"'),
        (lambda m: m.update(num_classes=4), "labels must be in 0..3"),
        (lambda m: m.update(num_classes=9), "[8, 9] is needed"),
        (lambda m: m.update(target_labels=[]), "names no target label"),
        (lambda m: m.update(target_labels=[5]), "target labels must be in 0..4"),
        (lambda m: m.update(target_labels=[-1]), "target labels must be in 0..4"),
        (lambda m: m["uploads"].update(action="../../secret"), "uploads.action"),
        (lambda m: m["uploads"].update(action="elsewhere"), "does not exist"),
        (lambda m: m["uploads"].update(kind="votes"), "uploads.kind"),
    ],
)
def test_bad_manifests(run: Path, change: Callable[[dict[str, Any]], None], message: str) -> None:
    path = run / "wire/manifest.json"
    table = read_json(path)
    change(table)
    write_json(path, table)
    assert message in refused(run)


def test_a_manifest_that_is_elsewhere(run: Path) -> None:
    """An error may quote what it points to."""
    path = run / "wire/manifest.json"
    path.rename(run / "manifest.json")
    path.symlink_to("../manifest.json")
    assert "manifest.json is a link out of the folder" in refused(run)


@pytest.mark.parametrize("content", ["", "{", "[]", "3", "null"])
def test_manifests_that_are_no_manifest(run: Path, content: str) -> None:
    (run / "wire/manifest.json").write_text(content)
    assert "manifest" in refused(run)


def test_no_transcript(tmp_path: Path) -> None:
    assert "holds no transcript: there is no manifest.json" in refused(tmp_path)
    assert "holds no transcript" in refused(tmp_path / "none")


def test_target_labels_are_sorted_and_unique(run: Path) -> None:
    write_json(run / "wire/manifest.json", manifest(target_labels=[3, 1, 3]).model_dump())
    assert Transcript(run).knowledge.target_labels.tolist() == [1, 3]


def test_rewind(run: Path) -> None:
    writer = TranscriptWriter(run / "wire", manifest(), PUBLIC)
    writer.write_own(4, values(0, 4))
    (run / "wire/public.safetensors").chmod(0o600)
    writer.rewind(1)
    assert sorted(p.name for p in (run / "wire").glob("round-*")) == ["round-01"]
    writer.rewind(0)
    assert not list((run / "wire").glob("round-*"))


def test_a_round_appears_when_it_is_whole(tmp_path: Path) -> None:
    writer = TranscriptWriter(tmp_path / "wire", manifest(), PUBLIC)
    writer.write_own(1, values(0, 1))
    assert not (tmp_path / "wire/round-01").exists()
    writer.commit(1)
    assert sorted(p.name for p in (tmp_path / "wire").glob("round-*")) == ["round-01"]


def test_going_on_keeps_the_public_set(run: Path) -> None:
    before = (run / "wire/public.safetensors").stat().st_mtime_ns
    TranscriptWriter(run / "wire", manifest(), PUBLIC)
    assert (run / "wire/public.safetensors").stat().st_mtime_ns == before


def test_scalars_are_kept_beside_the_tensors(run: Path) -> None:
    import safetensors

    with safetensors.safe_open(run / "wire/round-01/upload.safetensors", "pt") as file:
        assert json.loads(file.metadata()["scalars"]) == {"client-0/loss": 0.5, "client-1/loss": 0.5}


def test_more_than_ninety_nine_rounds(tmp_path: Path) -> None:
    writer = TranscriptWriter(tmp_path, manifest(), PUBLIC)
    for round in (99, 100, 101):
        writer.write_own(round, values(0, round))
        writer.commit(round)
    writer.rewind(100)
    assert sorted(p.name for p in tmp_path.glob("round-*")) == ["round-100", "round-99"]
