"""Whole files or none."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch

from logitleak.errors import UserError
from logitleak.files.atomic import write_atomic
from logitleak.files.storage import (
    TensorFile,
    read_json,
    read_tensors,
    write_json,
    write_tensors,
    write_text,
)
from logitleak.sealed.files import read_truth, write_truth
from logitleak.sealed.truth import GroundTruth


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("before", [None, "old"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), ValueError("bad"), KeyboardInterrupt()])
def test_a_failing_writer_leaves_no_trace(tmp_path: Path, before: str | None, error: BaseException) -> None:
    path = tmp_path / "file.txt"
    if before is not None:
        path.write_text(before)

    def fail(target: Path) -> None:
        target.write_text("half of")
        raise error

    with pytest.raises(type(error)):
        write_atomic(path, fail)
    assert listing(tmp_path) == ([] if before is None else ["file.txt"])
    assert before is None or path.read_text() == before


def test_a_failing_rename_leaves_no_trace(tmp_path: Path) -> None:
    (tmp_path / "file.txt" / "in-the-way").mkdir(parents=True)
    with pytest.raises(OSError):  # noqa: PT011
        write_text(tmp_path / "file.txt", "text")
    assert listing(tmp_path) == ["file.txt"]


def test_writing_makes_folders_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file.txt"
    write_text(path, "first")
    write_text(path, "zweité")
    assert path.read_text(encoding="utf-8") == "zweité"
    assert listing(path.parent) == ["file.txt"]


def test_json(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": [1.5, None, "é"]})
    write_json(tmp_path / "b.json", {"a": [1.5, None, "é"], "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert read_json(tmp_path / "a.json") == {"b": 1, "a": [1.5, None, "é"]}


def test_json_refuses_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"a": float("nan")})
    assert listing(tmp_path) == []


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1', b"\xff\xfe", b"[" * 100_000])
def test_bad_json(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match="is not valid JSON"):
        read_json(tmp_path / "a.json")


def test_missing_files(tmp_path: Path) -> None:
    for read in (read_json, read_tensors, TensorFile):
        with pytest.raises(UserError, match="does not exist"):
            read(tmp_path / "none")


TABLE = {
    "a": torch.arange(6).view(2, 3),
    "b": torch.rand(4, dtype=torch.float32),
    "empty": torch.zeros(0, 3),
    "strided": torch.arange(12).view(3, 4).T,
}


def test_tensors(tmp_path: Path) -> None:
    write_tensors(tmp_path / "a.safetensors", TABLE, {"scalars": "{}"})
    again = read_tensors(tmp_path / "a.safetensors")
    assert set(again) == set(TABLE)
    for name, tensor in TABLE.items():
        assert again[name].dtype == tensor.dtype
        assert torch.equal(again[name], tensor)
    assert listing(tmp_path) == ["a.safetensors"]
    with safetensors.safe_open(tmp_path / "a.safetensors", "pt") as file:
        assert file.metadata() == {"scalars": "{}"}


@pytest.mark.parametrize("metadata", [None, {}, {"scalars": "{}"}])
def test_an_empty_table(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    """Attacks without a state write one."""
    write_tensors(tmp_path / "a.safetensors", {}, metadata)
    assert read_tensors(tmp_path / "a.safetensors") == {}
    assert TensorFile(tmp_path / "a.safetensors").names() == set()


def test_tensors_are_read_one_by_one(tmp_path: Path) -> None:
    write_tensors(tmp_path / "a.safetensors", TABLE)
    file = TensorFile(tmp_path / "a.safetensors")
    assert file.names() == set(TABLE)
    assert file.names() is file.names()  # not made anew for each of a million tensors
    assert file.shape("strided") == (4, 3)
    assert (file.dtype("a"), file.dtype("b")) == ("I64", "F32")
    assert torch.equal(file.read("b"), TABLE["b"])
    for act in (file.read, file.shape, file.dtype):
        with pytest.raises(UserError, match='holds no tensor called "c"'):
            act("c")


def test_permissions_are_those_of_other_files(tmp_path: Path) -> None:
    """A run folder that is shared must be readable as a whole."""
    write_tensors(tmp_path / "a.safetensors", TABLE)
    write_text(tmp_path / "a.txt", "text")
    assert (tmp_path / "a.safetensors").stat().st_mode == (tmp_path / "a.txt").stat().st_mode


@pytest.mark.parametrize("keep", [0, 4, 30, -1])
def test_truncated_tensors(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "a.safetensors"
    write_tensors(path, TABLE)
    path.write_bytes(path.read_bytes()[:keep])
    for read in (read_tensors, TensorFile):
        with pytest.raises(UserError, match="is damaged or no safetensors file"):
            read(path)


def test_a_folder_is_no_tensor_file(tmp_path: Path) -> None:
    for read in (read_tensors, TensorFile):
        with pytest.raises(UserError, match="is damaged or no safetensors file"):
            read(tmp_path)


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="there is no /dev/full")
def test_a_full_disk_is_an_os_error(tmp_path: Path) -> None:
    """The temporary file stands for a device that is always full."""
    (tmp_path / f".a.safetensors.{os.getpid()}.partial").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        write_tensors(tmp_path / "a.safetensors", TABLE)
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(tmp_path / "a.safetensors")
    assert listing(tmp_path) == []


DTYPES = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
    torch.uint8, torch.bool,
]  # fmt: skip


def test_the_library_reads_every_type_and_shape(tmp_path: Path) -> None:
    """What is written by hand is what the format's own library understands, names in any script included."""
    table = {f"Zoë/{dtype}": torch.arange(-3, 3).to(dtype).view(2, 3) for dtype in DTYPES}
    table |= {
        "scalar": torch.tensor(2.5),
        "last": torch.rand(2, 5, 4, 4).to(memory_format=torch.channels_last),
    }
    write_tensors(tmp_path / "a.safetensors", table, {"said": 'a "quoted" ü'})
    again = safetensors.torch.load_file(tmp_path / "a.safetensors")
    assert again.keys() == table.keys()
    for name, tensor in table.items():
        assert again[name].dtype == tensor.dtype
        assert torch.equal(again[name], tensor)
    with safetensors.safe_open(tmp_path / "a.safetensors", "pt") as file:
        assert file.metadata() == {"said": 'a "quoted" ü'}


@pytest.mark.slow
def test_a_table_is_not_copied_before_it_is_written(tmp_path: Path) -> None:
    """Ten tensors of 32 MiB are written with the memory of about one more, in a process of its own."""
    code = f"""
import torch
from pathlib import Path
from logitleak.machine.memory import peak_bytes
from logitleak.files.storage import write_tensors
one = torch.ones(32 << 18)
table = {{str(i): one.clone() for i in range(10)}}
before = peak_bytes()
write_tensors(Path({str(tmp_path / "a.safetensors")!r}), table)
print(peak_bytes() - before)
"""
    grown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(grown.stdout) < 80 << 20


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for write in (
        lambda: write_text(tmp_path / "file" / "a.txt", "text"),
        lambda: write_tensors(tmp_path / "file" / "a.safetensors", TABLE),
    ):
        with pytest.raises(OSError):  # noqa: PT011
            write()


@pytest.mark.usefixtures("plain_rights")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        write_tensors(tmp_path / "a.safetensors", TABLE)


def truth() -> GroundTruth:
    images = torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8)
    labels, owners = torch.tensor([1, 1, 4]), torch.tensor([0, 0, 1])
    public = torch.tensor([0, 1, 4])
    return GroundTruth(images, labels, owners, images[:0], labels[:0], public, ["a", "b", "c", "d", "Zoë"])


def test_truth_round_trip(tmp_path: Path) -> None:
    written = truth()
    write_truth(tmp_path / "sealed", written)
    again = read_truth(tmp_path / "sealed")
    for name in ("images", "labels", "owners", "held_images", "held_labels", "public_labels"):
        assert torch.equal(getattr(again, name), getattr(written, name))
    assert list(again.names) == list(written.names)


def test_damaged_truth(tmp_path: Path) -> None:
    write_truth(tmp_path, truth())
    (tmp_path / "names.json").unlink()
    with pytest.raises(UserError, match="does not exist"):
        read_truth(tmp_path)
    write_tensors(tmp_path / "truth.safetensors", {"images": truth().images})
    with pytest.raises(UserError, match='holds no tensor called "labels"'):
        read_truth(tmp_path)


def test_json_is_plain_text(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", [1])
    assert json.loads((tmp_path / "a.json").read_text()) == [1]
    assert (tmp_path / "a.json").read_text().endswith("\n")
