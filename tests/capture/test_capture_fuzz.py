"""Whatever is done to a capture or to a transcript: it is used or refused, and nothing else happens."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import safetensors.torch
import torch
import yaml
from hypothesis import HealthCheck, example, given, settings
from make_capture import DESCRIPTION, J, N, describe, logits

import logitleak
from logitleak.capture.inspect import inspect
from logitleak.errors import UserError
from logitleak.files.storage import read_tensors, write_tensors
from logitleak.stages.record import import_recorded
from logitleak.text import as_counted
from logitleak.wire.transcript import Transcript

CAPTURE_FILES = [
    "capture.yaml", "public.csv", "public/2-1.png", "private/1/0.png", "logits/1-server.npz",
    "logits/1-a.npz", "logits/1-a.npy", "logits/1-a.safetensors", "logits/1-a.csv",
]  # fmt: skip
WIRE_FILES = [
    "manifest.json", "public.safetensors", "round-01/upload.safetensors", "round-02/upload.safetensors",
    "round-02/own.safetensors",
]  # fmt: skip
quick = settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)

Edit = Callable[[bytes], bytes]


@st.composite
def edits(draw: st.DrawFn) -> Edit:
    """Cut off, flip bytes, repeat, or replace a part with rubbish. Places near the start, where headers are, are as
    likely as all others."""
    where = st.one_of(st.integers(0, 200), st.integers(0, 10**6))
    at, other = draw(where), draw(where)
    rubbish = draw(st.binary(max_size=12))
    kind = draw(st.sampled_from(["cut", "flip", "insert", "remove", "repeat", "replace"]))

    def change(content: bytes) -> bytes:
        size = max(1, len(content))
        i, j = sorted((at % size, other % size))
        if kind == "cut":
            return content[:i]
        if kind == "flip":
            flipped = bytearray(content)
            for k in {i, j}:
                flipped[k : k + 1] = bytes(
                    byte ^ 0xFF if rubbish else byte ^ 0x01 for byte in flipped[k : k + 1]
                )
            return bytes(flipped)
        if kind == "insert":
            return content[:i] + rubbish + content[i:]
        if kind == "remove":
            return content[:i] + content[j:]
        if kind == "repeat":
            return content[:j] + content[i:]
        return content[:i] + rubbish + content[i + len(rubbish) :]

    return change


@contextmanager
def edited(path: Path, edit: Edit) -> Iterator[None]:
    content = path.read_bytes()
    path.write_bytes(edit(content))
    try:
        yield
    finally:
        path.write_bytes(content)


@pytest.fixture(scope="module")
def every_format(shipped_capture: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture whose file of client a in round 1 is there in every format."""
    folder = Path(shutil.copytree(shipped_capture, tmp_path_factory.mktemp("fuzz") / "pilot"))
    values = logits(1, 0)
    np.save(folder / "logits/1-a.npy", values)
    write_tensors(folder / "logits/1-a.safetensors", {"x": torch.from_numpy(values), "rows": torch.arange(N)})
    (folder / "logits/1-a.csv").write_text("\n".join(",".join(map(repr, row.tolist())) for row in values))
    return folder


@pytest.fixture(scope="module")
def wire(shipped_capture: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transcript in which client b misses round 2."""
    folder = Path(shutil.copytree(shipped_capture, tmp_path_factory.mktemp("wire") / "pilot"))
    (folder / "logits/2-b.npz").unlink()
    return import_recorded(folder, folder.parent / "run").path


def look(folder: Path) -> None:
    """Inspect a capture, and import it where it is sound."""
    try:
        inspection = inspect(folder)
    except UserError:
        return
    assert (inspection.content is None) == (inspection.findings.errors > 0)
    assert all("\n" not in line and len(line) < 2000 for line in inspection.findings.lines())
    if inspection.content is not None:
        for round, present in inspection.content.present.items():
            for client in present:
                assert np.isfinite(inspection.content.upload(round, client).values).all()


def read(folder: Path) -> None:
    """Open a transcript and do all that an evaluated attack does with it."""
    try:
        view = Transcript(folder)
        for round in range(1, view.rounds + 1):
            view.bytes_received(round)
            for client in range(view.clients):
                rows, values = view.client_logits(client, round)
                assert values.shape == (len(rows), view.knowledge.num_classes)
                assert values.isfinite().all()
                assert ((rows >= 0) & (rows < len(view.knowledge.public))).all()
            assert view.server_logits(round).isfinite().all()
        logitleak.attack(view, "ridge", tau=3.0, lam=1.0)
    except UserError:
        return


@pytest.mark.slow
@quick
@given(name=st.sampled_from(CAPTURE_FILES), edit=edits())
def test_damaged_captures(every_format: Path, name: str, edit: Edit) -> None:
    path = every_format / name
    if name.startswith("logits/1-a"):
        describe(every_format, rounds=1, uploads__files="logits/{round}-{client}" + path.suffix, clients=["a"],
                 private__owners=None)  # fmt: skip
    else:
        describe(every_format)
    with edited(path, edit):
        look(every_format)


@quick
@given(names=st.lists(st.text(st.sampled_from("a1209²①٣.-") | st.characters(), max_size=30), min_size=2))
@example(names=["²1.png", "1.png"])
def test_names_of_images_are_counted_in_any_script(names: list[str]) -> None:
    assert sorted(sorted(names, key=as_counted)) == sorted(names)


@quick
@given(name=st.sampled_from(WIRE_FILES), edit=edits())
def test_damaged_transcripts(wire: Path, name: str, edit: Edit) -> None:
    with edited(wire / "wire" / name, edit):
        read(wire)


ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 9)
    | st.sampled_from([10**9, 10**30, -(2**63), 2**64, 1e308])
    | st.floats()
    | st.sampled_from(
        ["", "../x", "/etc/passwd", "a", "0", "{round}", "{client}", "\x00", "upload", "table", "²"]
    )
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def settings_of(values: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for key, value in values.items():
        found.append((*path, key))
        if isinstance(value, dict):
            found += settings_of(value, (*path, key))
    return found


def replaced(values: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    if not path:
        return value
    return values | {path[0]: replaced(values[path[0]], path[1:], value)}


@pytest.mark.slow
@quick
@given(path=st.sampled_from(settings_of(DESCRIPTION)), value=ODD)
def test_odd_descriptions(every_format: Path, path: tuple[str, ...], value: Any) -> None:
    text = yaml.safe_dump(replaced(DESCRIPTION, path, value))
    with edited(every_format / "capture.yaml", lambda _: text.encode("utf-8", "surrogatepass")):
        look(every_format)


MANIFEST = (
    "format",
    "scheme",
    "clients",
    "rounds",
    "num_classes",
    "target_labels",
    "uploads",
    "server_logits",
)


@quick
@given(
    path=st.sampled_from(
        [(key,) for key in MANIFEST] + [("uploads", k) for k in ("action", "tensor", "kind")]
    ),
    value=ODD,
)
def test_odd_manifests(wire: Path, path: tuple[str, ...], value: Any) -> None:
    values = json.loads((wire / "wire/manifest.json").read_text())
    text = json.dumps(replaced(values, path, value) if path[0] in values else values | {path[0]: value})
    with edited(wire / "wire/manifest.json", lambda _: text.encode()):
        read(wire)


TYPES = [
    torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64, torch.int32, torch.uint8, torch.bool,
    torch.complex64, torch.float8_e4m3fn, torch.uint16, torch.uint64,
]  # fmt: skip


@quick
@given(
    name=st.sampled_from(WIRE_FILES[1:]),
    tensor=st.integers(0, 9),
    dtype=st.sampled_from(TYPES),
    shape=st.sampled_from(
        [(), (0,), (N,), (N, J), (J, N), (N, 0), (0, J), (2, J), (N, 3, 0, 0), (N, 3, 16, 16)]
    ),
    fill=st.sampled_from([0.0, 1.0, 7.0, -1.0, float("nan"), float("inf"), 1e39]),
)
def test_odd_tensors(
    wire: Path, name: str, tensor: int, dtype: torch.dtype, shape: tuple[int, ...], fill: float
) -> None:
    path = wire / "wire" / name
    content = path.read_bytes()
    try:
        table = read_tensors(path)
        names = [*sorted(table), "client-0/rows", "sent/rows"]
        try:
            value = torch.full(shape, fill, dtype=torch.float64).to(dtype)
        except RuntimeError:
            return
        path.write_bytes(safetensors.torch.save(table | {names[tensor % len(names)]: value}))  # of any type
        read(wire)
    finally:
        path.write_bytes(content)


@quick
@given(said=ODD, raw=st.text(max_size=20))
def test_odd_absences(wire: Path, said: Any, raw: str) -> None:
    path = wire / "wire/round-02/upload.safetensors"
    content = path.read_bytes()
    try:
        for text in (json.dumps(said), raw):
            write_tensors(path, read_tensors(path), {"absent": text, "scalars": text})
            read(wire)
    finally:
        path.write_bytes(content)
