"""A capture comes from a stranger: it runs no code, leaves no folder and fills no memory."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from make_capture import J, N, describe, logits
from PIL import Image

from logitleak.capture.inspect import inspect
from logitleak.errors import UserError
from logitleak.files.storage import write_json
from logitleak.stages.record import import_recorded
from logitleak.wire.transcript import Transcript

Spoil = Callable[[Path], None]


def npy(shape: tuple[int, ...], content: bytes = b"", descr: str = "'<f4'") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape!r}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content


def archive(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Spoil:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", method, compresslevel=1) as file:
            for name, content in members:
                file.writestr(name, content)

    return write


def claims_more(path: Path) -> None:
    """The zip directory says that a member is a terabyte."""
    archive(("x.npy", npy((N, J), bytes(4 * N * J))))(path)
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\1\2")
    content[at + 24 : at + 28] = struct.pack("<L", 2**32 - 2)
    path.write_bytes(content)


def longer_than_it_says(path: Path) -> None:
    """The directory tells the size of the header's shape; the deflated stream goes on for a gigabyte."""
    whole = npy((N, J), bytes(4 * N * J))
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    stream = squeeze.compress(whole) + squeeze.compress(bytes(2**22)) + squeeze.flush()
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x.npy", stream)
    content = bytearray(path.read_bytes())
    for sign, method, size in ((b"PK\3\4", 8, 22), (b"PK\1\2", 10, 24)):
        at = content.index(sign)
        content[at + method : at + method + 2] = struct.pack("<H", 8)
        content[at + size : at + size + 4] = struct.pack("<L", len(whole))
    path.write_bytes(content)


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch /tmp/logitleak-was-here",)


SPOILED: dict[str, tuple[str, Spoil, str]] = {
    "pickle": ("npz", archive(("x.npy", npy((1,), pickle.dumps(_Evil()), "'|O'"))), "never objects"),
    "fields": ("npz", archive(("x.npy", npy((N,), b"", "[('a', '<f4'), ('b', 'O')]"))), "never objects"),
    "huge shape": ("npz", archive(("x.npy", npy((2**39, 2**39)))), "not as long as its header says"),
    "huge rows": ("npz", archive(("x.npy", npy((2**39, J)))), "not as long as its header says"),
    "bomb": ("npz", archive(("x.npy", npy((N, 2**20), bytes(2**26)))), "not as long as its header says"),
    "other bomb": ("npz", archive(("a.npy", npy((2**23, 3), bytes(3 * 2**25)))), "a zip bomb"),
    "claims more": ("npz", claims_more, "not as long as its header says"),
    "longer": ("npz", longer_than_it_says, "damaged or no .npz file"),
    "many": ("npz", archive(*((f"{i}.npy", npy((N, J), bytes(4 * N * J))) for i in range(65))), "more than 64"),
    "packed": ("npz", archive(("x.npy", npy((N, J), bytes(4 * N * J))), method=zipfile.ZIP_LZMA), "numpy has not"),
    "no zip": ("npz", lambda path: path.write_bytes(b"PK\3\4" + bytes(100)), "is damaged, no .npz file"),
    "nothing": ("npz", lambda path: path.write_bytes(b""), "is damaged, no .npz file"),
    "comment": ("npz", lambda path: (outputs_at(path), path.write_bytes(path.read_bytes() + b"tail")), "no .npz file"),
    "npy header": ("npy", lambda path: path.write_bytes(b"\x93NUMPY\2\0\xff\xff\xff\x7f"), "longer than any"),
    "npy code": ("npy", lambda path: path.write_bytes(npy((N, J), b"", "__import__('os')")), "cannot be read"),
    "npy cut off": ("npy", lambda path: path.write_bytes(npy((N, J), bytes(9))), "cut off"),
    "npy tail": ("npy", lambda path: path.write_bytes(npy((N, J), bytes(4 * N * J + 1))), "not as long"),
    "npy shape": ("npy", lambda path: path.write_bytes(npy((-1, J))), "is no shape"),
    "npy version": ("npy", lambda path: path.write_bytes(b"\x93NUMPY\3\0\0\0\0\0"), "version 1 or 2"),
    "tensors header": ("safetensors", lambda path: path.write_bytes(b"\xff" * 16), "the length of its header"),
    "tensors shape": ("safetensors", lambda path: path.write_bytes(tensor_file([2**40, J])), "damaged"),
    "csv line": ("csv", lambda path: path.write_text("1" * 10_000_000), "is longer than the columns can be"),
    "csv columns": ("csv", lambda path: path.write_text("1,2,3\n"), "has 3 outputs"),
    "csv lines": ("csv", lambda path: path.write_text("1,2,3,4,5,6\n" * 1000), "more lines than there are public"),
    "csv words": ("csv", lambda path: path.write_text("1,2,3,4,5,six\n"), "line 1: could not convert"),
    "csv header": ("csv", lambda path: path.write_text("a,a,c,d,e,f\n"), "two columns have one name"),
    "csv rows": ("csv", lambda path: path.write_text("rows,b,c,d,e,f,g\n-1,1,2,3,4,5,6\n"), "'-1' is no row id"),
    "csv bytes": ("csv", lambda path: path.write_bytes(b"\xff\xfe\x00"), "is no UTF-8"),
}  # fmt: skip


def outputs_at(path: Path) -> None:
    np.savez(path, x=logits(1, 0))


def tensor_file(shape: list[int]) -> bytes:
    header = json.dumps({"x": {"dtype": "F32", "shape": shape, "data_offsets": [0, 8]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(8)


@pytest.mark.parametrize("name", SPOILED)
def test_files_of_a_stranger(capture: Path, name: str) -> None:
    suffix, write, message = SPOILED[name]
    describe(capture, uploads__files="logits/{round}-{client}." + suffix)
    path = capture / f"logits/1-a.{suffix}"
    write(path)
    lines = [line for line in inspect(capture).findings.lines() if path.name in line]
    assert any(message in line for line in lines), lines
    assert not Path("/tmp/logitleak-was-here").exists()


PATHS = [
    "../secret/{round}-{client}.npz",
    "/etc/{round}-{client}",
    "a/../../{round}{client}",
    "..",
    "a\\b{round}{client}",
]


@pytest.mark.parametrize("path", PATHS)
def test_no_path_leads_out(capture: Path, path: str) -> None:
    for setting in ("uploads__files", "server__files", "public__images", "public__table", "private__images"):
        describe(capture, **{setting: path})
        found = inspect(capture).findings
        assert found.errors, setting
        assert "must be a path inside" in found.lines()[0] or "must stay inside" in found.lines()[0]


@pytest.mark.parametrize(
    "pattern", ["{round.__class__}{client}", "{0}", "{client!r}{round}", "{round", "{{round}}{client}"]
)
def test_patterns_reach_into_nothing(capture: Path, pattern: str) -> None:
    describe(capture, uploads__files=pattern)
    assert "no other field" in inspect(capture).findings.lines()[0]


@pytest.mark.parametrize("client", ["../a", "a/b", ".hidden", "", "a" * 101])
def test_names_of_clients_are_no_paths(capture: Path, client: str) -> None:
    describe(capture, clients=[client, "b"])
    assert inspect(capture).findings.errors


LINKED = ["logits/1-a.npz", "public/0-0.png", "public.csv", "public", "private", "private/0", "capture.yaml"]


@pytest.mark.parametrize("what", LINKED)
def test_links_out_of_the_capture(capture: Path, tmp_path: Path, what: str) -> None:
    outside = tmp_path / "outside"
    (capture / what).rename(outside)
    (capture / what).symlink_to(outside)
    lines = inspect(capture).findings.lines()
    assert any("is a link out of the folder" in line for line in lines), lines


def test_listed_files_stay_in_the_folder(capture: Path) -> None:
    describe(capture, public__order=["../private/0/0.png", "0-0.png"])
    assert any("missing: ../private/0/0.png" in line for line in inspect(capture).findings.lines())


def test_links_inside_are_followed(capture: Path) -> None:
    (capture / "logits/1-a.npz").rename(capture / "shared.npz")
    (capture / "logits/1-a.npz").symlink_to("../shared.npz")
    assert inspect(capture).content is not None


def test_special_files_are_not_waited_for(capture: Path) -> None:
    (capture / "logits/1-a.npz").unlink()
    os.mkfifo(capture / "logits/1-a.npz")
    assert any("client a was absent in round 1" in line for line in inspect(capture).findings.lines())


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
        "!!python/object/apply:os.system ['touch /tmp/logitleak-was-here']",
        "[" * 5000,
        "a: [",
        "- 1",
        "",
        "\x00",
        "x: " + "9" * 100_000,
        "a" * (5 * 2**20),
        "? [a]\n: b",
    ],
)
def test_descriptions_of_a_stranger(capture: Path, text: str) -> None:
    (capture / "capture.yaml").write_text(text)
    lines = inspect(capture).findings.lines()
    assert lines
    assert all(len(line) < 1000 and "\n" not in line for line in lines)
    assert not Path("/tmp/logitleak-was-here").exists()


def test_images_that_are_programs_or_bombs(capture: Path) -> None:
    (capture / "public/2-0.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n%%EndComments\n"
    )
    Image.new("1", (20_000, 20_000)).save(capture / "public/2-1.png")
    lines = inspect(capture).findings.lines()
    assert "2-0.png: not a readable image" in lines[0]
    assert "2-1.png: larger than 50 million pixels" in lines[1]


def test_a_table_of_gigabytes_is_not_read(capture: Path) -> None:
    with (capture / "public.csv").open("r+b") as file:
        file.truncate(2**32)
    assert "public.csv: is larger than 256 MiB" in inspect(capture).findings.lines()[0]


def manifest(folder: Path, **changes: Any) -> Path:
    run = import_recorded(folder, folder.parent / "run").path
    path = run / "wire/manifest.json"
    values = json.loads(path.read_text())
    values["uploads"] |= changes.pop("uploads", {})
    write_json(path, values | changes)
    return run


@pytest.mark.parametrize(
    "changes",
    [
        {"rounds": 10**9},
        {"rounds": 10**30},
        {"clients": 10**9},
        {"clients": 9999},
        {"num_classes": 10**9},
        {"num_classes": 10**6},
        {"target_labels": [2**70]},
        {"target_labels": [-(2**70), 1]},
        {"target_labels": list(range(10**5))},
        {"uploads": {"action": "../../secret"}},
        {"uploads": {"action": "a/b"}},
        {"uploads": {"action": "/etc/passwd"}},
        {"uploads": {"action": "upload\n"}},
        {"uploads": {"tensor": "../x"}},
        {"server_logits": "perhaps"},
    ],
)
def test_manifests_of_a_stranger(capture: Path, changes: dict[str, Any]) -> None:
    run = manifest(capture, **changes)
    with pytest.raises(UserError) as caught:
        Transcript(run)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("name", ["round-01/upload.safetensors", "public.safetensors", "manifest.json"])
def test_links_and_pipes_in_a_transcript(capture: Path, tmp_path: Path, name: str) -> None:
    path = manifest(capture) / "wire" / name
    path.rename(tmp_path / "outside")
    path.symlink_to(tmp_path / "outside")
    with pytest.raises(UserError, match="is a link out of the"):
        import_recorded(tmp_path / "run/wire", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(UserError, match=r"is no file at all|there is no manifest\.json"):
        Transcript(tmp_path / "run")


def test_a_manifest_of_gigabytes_is_not_read(capture: Path) -> None:
    run = manifest(capture)
    with (run / "wire/manifest.json").open("r+b") as file:
        file.truncate(2**33)
    with pytest.raises(UserError, match="larger than any manifest"):
        Transcript(run)


@pytest.mark.slow
def test_memory_stays_bounded(capture: Path) -> None:
    """With 192 MiB to spare, files that claim or unpack to 256 are refused in an orderly way."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("memory in use is read from /proc")
    describe(capture, clients=["a", "b", "c", "d"], private__owners=None)
    much = bytes(2**28)
    archive(("x.npy", npy((2**30, J), much)))(capture / "logits/1-b.npz")
    archive(("x.npy", npy((2**26, 1), much)))(capture / "logits/1-c.npz")
    archive(("x.npy", b"\x93NUMPY\2\0\xff\xff\xff\x7f" + much))(capture / "logits/1-d.npz")
    (capture / "logits/2-c.npz").write_bytes(b"PK")
    (capture / "logits/2-d.npz").write_bytes(b"PK")
    code = (
        "import resource, sys; from pathlib import Path; from logitleak.capture.inspect import inspect\n"
        "used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 3 * 2**26, used + 3 * 2**26))\n"
        "print(inspect(Path(sys.argv[1])).findings.errors)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(capture)], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, "5\n"), done.stderr


def test_a_file_in_memory_is_read_like_one_on_disk() -> None:
    """The .npy reader needs no file: what it is given is read once."""
    from logitleak.capture.arrays import _npy_header

    assert _npy_header(io.BytesIO(npy((3, 4)))).shape == (3, 4)
