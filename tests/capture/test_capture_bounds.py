"""A capture of a stranger costs no more memory and time than what it holds, and what it says cannot act."""

from __future__ import annotations

import json
import os
import tracemalloc
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from make_capture import DESCRIPTION, describe

from logitleak import cli
from logitleak.capture import images
from logitleak.capture import inspect as inspecting
from logitleak.capture.arrays import Wanted
from logitleak.capture.inspect import inspect
from logitleak.capture.outputs import Outputs, read_outputs
from logitleak.data.folder import images_in
from logitleak.errors import UserError
from logitleak.files.storage import read_json, write_json
from logitleak.stages.record import import_recorded

MANY = 2000


def test_a_file_of_nan_makes_no_list_of_them(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.full((20_000, 50), np.nan, np.float32))  # 4 MB
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="holds 1000000 values that are NaN.* row 0, column 0"):
            read_outputs(tmp_path, "x.npy", Wanted(50, 20_000, None, None))
        assert tracemalloc.get_traced_memory()[1] < 16e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "changes",
    [
        {"targets": [-1] * MANY},
        {"clients": ["/"] * MANY},
        {"rounds": [-1] * MANY},
        {"names": [""] * MANY},
        {"public__order": [""] * MANY},
        {"private__owners": {f"target{i}": "/" for i in range(MANY)}},
        {"private__owners": dict.fromkeys(range(MANY), "a")},
        {"server": {f"setting{i}": 1 for i in range(MANY)}},
        {f"setting{i}": 1 for i in range(MANY)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_many_mistakes_are_not_many_errors(capture: Path, changes: dict[str, Any]) -> None:
    describe(capture, **changes)
    assert 1 <= inspect(capture).findings.errors <= 3


def test_many_targets_of_a_manifest(capture: Path) -> None:
    path = import_recorded(capture, capture.parent / "run").path / "wire/manifest.json"
    write_json(path, read_json(path) | {"target_labels": ["x"] * MANY})
    with pytest.raises(UserError, match=r"manifest of format 1: target_labels\.0: "):
        import_recorded(path.parent, capture.parent / "again")


def test_one_file_of_outputs_is_in_memory_at_a_time(
    shipped_capture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[weakref.ref[Outputs]] = []
    read = inspecting._read

    def watched(*arguments: Any) -> Outputs:
        assert all(outputs() is None for outputs in kept)
        outputs = read(*arguments)
        kept.append(weakref.ref(outputs))
        return outputs

    monkeypatch.setattr(inspecting, "_read", watched)
    assert inspect(shipped_capture).content is not None
    assert len(kept) == 6


def test_a_link_is_not_searched(capture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may lead to the root of a disk."""

    def watched(folder: Path, pattern: str) -> list[Path]:
        assert not folder.is_symlink()
        return images_in(folder, pattern)

    (capture / "private/0").rename(tmp_path / "outside")
    (capture / "private/0").symlink_to(tmp_path / "outside")
    monkeypatch.setattr(images, "images_in", watched)
    assert "private.images: '0' is a link out of the folder" in inspect(capture).findings.lines()[0]


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_no_key_is_there_twice(capture: Path, suffix: str) -> None:
    text = (
        json.dumps(DESCRIPTION) if suffix == "json" else yaml.safe_dump(DESCRIPTION, default_flow_style=True)
    )
    owners = ('"0": "a"', '"0": "b", "0": "a"') if suffix == "json" else ("'0': a", "'0': b, '0': a")
    assert owners[0] in text
    (capture / "capture.yaml").unlink()
    (capture / f"capture.{suffix}").write_text(text.replace(*owners))
    said = "names a setting twice" if suffix == "json" else 'names "0" twice, the second time in line 1'
    assert said in inspect(capture).findings.lines()[0]


def validate(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What ``logitleak validate`` writes to the terminal; how it ends is no matter."""
    with suppress(SystemExit):
        cli.main(["validate", str(folder)])
    said = capsys.readouterr()
    assert all(c.isprintable() or c == "\n" for c in said.out + said.err)
    return said.out


def test_texts_of_a_stranger_do_nothing_to_a_terminal(
    capture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    describe(capture, title="A\x1b[31m\npilot", scheme="fed\x1b]0;x\x07md")
    table = (capture / "public.csv").read_text()
    (capture / "public.csv").write_text(table.replace("domain", "\x1b[2Jdomain"))
    said = validate(capture, capsys)
    assert "capture     A [31m pilot: 24 public images" in said
    assert "federation  fed ]0;x md, K = 2 clients" in said
    assert "its columns [2Jdomain mean nothing here" in said


def test_names_of_files_need_not_be_text(capture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in (b"\xff.png", b"\x1b[31m\n.png"):
        try:
            os.rename(capture / "public/5-3.png", os.path.join(os.fsencode(capture / "public"), name))
        except OSError:
            pytest.skip("this file system takes text only")
        assert "has no line for 1 image:" in validate(capture, capsys)
        os.rename(os.path.join(os.fsencode(capture / "public"), name), capture / "public/5-3.png")


def test_a_folder_need_not_be_text(capture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = Path(os.fsdecode(os.fsencode(capture.parent) + b"/\xff"))
    try:
        capture.rename(odd)
    except OSError:
        pytest.skip("this file system takes text only")
    assert r"\udcff can be used: 0 errors" in validate(odd, capsys)
    (odd / "capture.yaml").write_text("format: 7")
    validate(odd, capsys)


def test_the_scheme_of_a_transcript(capture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = import_recorded(capture, capture.parent / "run").path
    manifest = read_json(run / "wire/manifest.json")
    write_json(run / "wire/manifest.json", manifest | {"scheme": "fed\x1b[31m\nmd"})
    assert "transcript  fed [31m md, K = 2" in validate(run, capsys)
    write_json(run / "wire/manifest.json", manifest | {"scheme": "x" * 201})
    assert "scheme: String should have at most 200 characters" in validate(run, capsys)
