"""Every kind of file says the same, and a description can be written in many ways."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from make_capture import DESCRIPTION, N, describe, draw, logits, outputs, softmax

from logitleak.capture.arrays import Wanted
from logitleak.capture.description import Description, schema
from logitleak.capture.inspect import Content, inspect
from logitleak.capture.places import fill
from logitleak.capture.tables import read_csv
from logitleak.errors import UserError
from logitleak.files.storage import write_tensors
from logitleak.stages.record import import_recorded
from logitleak.wire.transcript import Transcript

Array = np.ndarray[Any, Any]
ROOT = Path(__file__).parents[2]


def content(folder: Path) -> Content:
    inspection = inspect(folder)
    assert inspection.content is not None, inspection.findings.lines()
    return inspection.content


def to_npy(path: Path, values: Array, rows: Array | None) -> None:
    np.save(path, values)


def to_npz(path: Path, values: Array, rows: Array | None) -> None:
    np.savez_compressed(path, anything=values, **({} if rows is None else {"rows": rows}))


def to_fortran(path: Path, values: Array, rows: Array | None) -> None:
    big_endian = np.asfortranarray(values).astype(">f8")
    np.savez(path, anything=big_endian, **({} if rows is None else {"rows": rows.astype(np.uint8)}))


def to_safetensors(path: Path, values: Array, rows: Array | None) -> None:
    extra = {} if rows is None else {"rows": torch.from_numpy(rows)}
    write_tensors(path, {"anything": torch.from_numpy(values), **extra})


def to_csv(path: Path, values: Array, rows: Array | None) -> None:
    """With a header and row ids in the middle, or with neither."""
    lines = [[repr(float(v)) for v in row] for row in values]
    if rows is not None:
        lines = [[*line[:2], str(row), *line[2:]] for line, row in zip(lines, rows, strict=True)]
        lines.insert(0, ["c0", "c1", "rows", "c2", "c3", "c4", "c5"])
    path.write_text("\r\n".join(", ".join(line) for line in lines), encoding="utf-8-sig")


WRITERS: dict[str, tuple[str, Callable[[Path, Array, Array | None], None]]] = {
    "npy": ("npy", to_npy),
    "npz": ("npz", to_npz),
    "fortran": ("npz", to_fortran),
    "safetensors": ("safetensors", to_safetensors),
    "csv": ("csv", to_csv),
}


@pytest.mark.parametrize(
    ("name", "partial"),
    [(name, partial) for name in WRITERS for partial in (False, True) if not partial or name != "npy"],
)  # a .npy file has no place for row ids
def test_formats(capture: Path, name: str, partial: bool) -> None:
    suffix, write = WRITERS[name]
    describe(capture, uploads__files=f"new/client-{{client}}/{{round:03}}.{suffix}")
    rows = np.array([20, 3, 7]) if partial else None
    for client in "ab":
        (capture / "new" / f"client-{client}").mkdir(parents=True)
        for round in (1, 2):
            values = logits(round, ord(client))
            chosen = values if rows is None else np.ascontiguousarray(values[rows])
            write(capture / f"new/client-{client}/{round:03}.{suffix}", chosen, rows)
    found = content(capture).upload(2, 1)
    wanted = logits(2, ord("b"))
    assert found.values.dtype == np.float32
    assert np.array_equal(found.values, wanted if rows is None else wanted[rows])
    assert found.rows is None if rows is None else np.array_equal(found.rows, rows)


def test_half_precision(capture: Path) -> None:
    outputs(capture, "1-a", x=logits(1, 0).astype(np.float16))
    assert np.array_equal(
        content(capture).upload(1, 0).values, logits(1, 0).astype(np.float16).astype(np.float32)
    )
    describe(capture, uploads__files="logits/{round}-{client}.safetensors")
    for round in (1, 2):
        for index, client in enumerate("ab"):
            path = capture / f"logits/{round}-{client}.safetensors"
            write_tensors(path, {"x": torch.from_numpy(logits(round, index)).to(torch.bfloat16)})
    assert len(content(capture).upload(1, 0).values) == N


def test_named_tensors(capture: Path) -> None:
    describe(capture, uploads__values="out", uploads__rows="ids")
    for round in (1, 2):
        for client in "ab":
            ids = np.arange(4, dtype=np.int32)
            outputs(capture, f"{round}-{client}", out=logits(round, 0, rows=4), ids=ids, loss=np.float32(3))
    found = content(capture).upload(1, 0)
    assert found.rows is not None
    assert found.rows.tolist() == [0, 1, 2, 3]


def test_a_description_in_json(capture: Path) -> None:
    (capture / "capture.yaml").unlink()
    (capture / "capture.json").write_text(json.dumps(DESCRIPTION))
    assert content(capture).description == Description.model_validate(DESCRIPTION)


def test_numbers_of_clients_and_rounds(capture: Path) -> None:
    for client, name in enumerate("ab"):
        for t, number in ((1, 10), (2, 20)):
            (capture / f"logits/{t}-{name}.npz").rename(capture / f"logits/{number}-{client:02}.npz")
    describe(
        capture,
        clients=2,
        rounds=[10, 20],
        uploads__files="logits/{round}-{client:02}.npz",
        server=None,
        private__owners={"0": 1, "1": 0},
    )
    found = content(capture)
    assert np.array_equal(found.upload(2, 1).values, logits(2, 1))


def test_names_of_labels(capture: Path, tmp_path: Path) -> None:
    names = ["ann", "bob", "cy", "dan", "eve", "fay"]
    text = (capture / "public.csv").read_text()
    for number, name in enumerate(names):
        text = text.replace(f",{number},", f",{name},")
    (capture / "public.csv").write_text(text)
    for number in (0, 1):
        (capture / f"private/{number}").rename(capture / f"private/{names[number]}")
    describe(capture, names=names, targets=["bob", 0], private__owners={"ann": "b", "bob": "a"})
    run = import_recorded(capture, tmp_path / "run").path
    assert Transcript(run).knowledge.target_labels.tolist() == [0, 1]
    assert json.loads((run / "sealed/names.json").read_text()) == names


@pytest.mark.parametrize("order", ["table", ["5-0.png", "0-0.png", "5-1.png", "2-0.png"]])
def test_orders(capture: Path, order: Any) -> None:
    lines = (capture / "public.csv").read_text().split()
    files = [lines[0], *reversed(lines[1:])]
    if order != "table":
        files = [line for line in files if line.split(",")[0] in (*order, "file")]
    (capture / "public.csv").write_text("\n".join(files))
    kept = N if order == "table" else len(order)
    for name in ("1-a", "1-b", "1-server", "2-a", "2-b", "2-server"):
        outputs(capture, name, x=logits(*map(ord, name))[:kept])
    describe(capture, public__order=order)
    found = content(capture).public
    expected = [5, 5, 5, 5, 4] if order == "table" else [5, 0, 5, 2]
    assert found.data.labels is not None
    assert found.data.labels[:5].tolist() == expected


def test_unlabelled_probabilities(capture: Path, tmp_path: Path) -> None:
    """DS-FL: the server has no labels, and the classes are the private people alone."""
    for round in (1, 2):
        for index, client in enumerate("ab"):
            outputs(capture, f"{round}-{client}", p=softmax(logits(round, index)))
    describe(capture, uploads__kind="probabilities", public__labelled=False)
    run = import_recorded(capture, tmp_path / "run").path
    view = Transcript(run)
    assert view.provides == {"logits", "server_logits"}
    _, values = view.client_logits(0, 1)
    assert torch.allclose(values.exp(), torch.from_numpy(softmax(logits(1, 0))), atol=1e-6)


def test_images_are_resized(capture: Path) -> None:
    draw(capture / "public/3-1.png", 3, 1, side=50)
    describe(capture, public__image_size=32)
    assert content(capture).public.data.images.shape == (N, 3, 32, 32)


def test_padding() -> None:
    assert fill("r{round:03}/{client}.npz", 7, "a") == "r007/a.npz"
    assert fill("{round}-{client:02}", 7, 3) == "7-03"


def test_the_published_schema_is_current() -> None:
    """`python -m logitleak.capture > docs/capture.schema.json` writes it anew."""
    assert (ROOT / "docs/capture.schema.json").read_text() == schema()


def test_two_descriptions(capture: Path) -> None:
    shutil.copy(capture / "capture.yaml", capture / "capture.json")
    with pytest.raises(ValueError, match=r"holds capture.yaml and capture.json"):
        inspect(capture)


def test_the_examples_of_the_documentation_are_descriptions() -> None:
    import re

    text = (ROOT / "docs/capture.md").read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert blocks
    for block in blocks:
        Description.model_validate(yaml.safe_load(block))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0.5;0.25;0.25;1", "columns are separated by semicolons; separate them by commas."),
        ("0,5;0,25;0,25;1,0", "separate them by commas, and write decimals with a point."),
        ("a;b;c;d", "columns are separated by semicolons"),
        ("0.5\t0.25\t0.25\t1", "columns are separated by tabs"),
        ("0,5,0,25,0,25,1,0", "decimals seem to be written with a comma; write them with a point."),
        ('"0,5","0,25","0,25","1,0"', "decimals seem to be written with a comma"),
        ("0.5,0.25,0.25", "has 3 outputs, and the capture has 4 classes."),
    ],
)
def test_another_countrys_csv_is_named(line: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "round-1.csv"
    file.write_text(line + "\n")
    with pytest.raises(UserError, match="line 1") as caught:
        read_csv(file, Wanted(classes=4, public=1, values=None, rows=None))
    assert message in str(caught.value)
