"""Everything that can be wrong with a capture is found, all of it at once; errors and warnings are told apart."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from make_capture import LABELS, J, N, describe, draw, logits, outputs, softmax
from PIL import Image

from logitleak.capture.inspect import inspect
from logitleak.errors import UserError
from logitleak.stages.record import import_recorded

Change = Callable[[Path], None]


def set_(**changes: object) -> Change:
    return lambda folder: describe(folder, **changes)


def array(name: str = "1-a", **arrays: np.ndarray) -> Change:
    return lambda folder: outputs(folder, name, **arrays)


def changed(at: tuple[int, int], value: float) -> np.ndarray:
    values = logits(1, 0)
    values[at] = value
    return values


def table(old: str, new: str) -> Change:
    def change(folder: Path) -> None:
        path = folder / "public.csv"
        path.write_text(path.read_text().replace(old, new))

    return change


def all_of(*changes: Change) -> Change:
    def change(folder: Path) -> None:
        for each in changes:
            each(folder)

    return change


def remove(name: str) -> Change:
    def change(folder: Path) -> None:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return change


def resized(folder: Path) -> None:
    draw(folder / "public/3-1.png", 3, 1, side=20)


def probabilities(folder: Path) -> None:
    for round in (1, 2):
        for index, who in enumerate("ab"):
            outputs(folder, f"{round}-{who}", values=softmax(logits(round, index)))


ERRORS: list[tuple[str, Change, str]] = [
    ("wide", array(x=np.ones((N, J + 1), "f4")), "has 7 columns, and the capture has 6 classes."),
    ("transposed", array(x=logits(1, 0).T.copy()), "It looks transposed"),
    ("one-dimensional", array(x=np.ones(N, "f4")), "has shape (24,); outputs are [rows, classes], here [24, 6]."),
    ("short", array(x=logits(1, 0)[:20]), 'has 20 rows, and there are 24 public images; add a tensor "rows"'),
    ("long", array(x=np.ones((N + 1, J), "f4")), "has 25 rows, and there are 24 public images"),
    ("empty", array(x=np.ones((0, J), "f4"), rows=np.zeros(0, int)), "has no rows"),
    ("integers", array(x=np.ones((N, J), int)), "not of 16, 32 or 64 bit floating-point"),
    ("complex", array(x=np.ones((N, J), complex)), "only plain numbers are read"),
    ("texts", array(x=np.full((N, J), "a")), "only plain numbers are read"),
    ("nan", array(x=changed((3, 2), np.nan)), "a value that is NaN, infinite or too large for 32 bits; the first is "
     "in row 3, column 2."),
    ("inf", array(x=changed((5, 0), np.inf)), "row 5, column 0"),
    ("overflow", array(x=np.full((N, J), 1e300)), "144 values that are NaN, infinite or too large"),
    ("row out of range", array(x=logits(1, 0)[:2], rows=np.array([0, 24])), "row 24, and public rows are 0 to 23"),
    ("negative row", array(x=logits(1, 0)[:2], rows=np.array([0, -1])), "names row -1"),
    ("row twice", array(x=logits(1, 0)[:2], rows=np.array([3, 3])), "names row 3 twice"),
    ("rows of floats", array(x=logits(1, 0)[:2], rows=np.array([0.0, 1.0])), "2 whole numbers are needed"),
    ("too few rows", array(x=logits(1, 0)[:2], rows=np.array([0])), "names its rows by (1,)"),
    ("two tensors", array(x=logits(1, 0), y=logits(1, 0)), "say which one has the outputs"),
    ("no such tensor", set_(uploads__values="out"), "holds no tensor called 'out'"),
    ("probabilities for logits", probabilities, "holds probabilities where logits are due"),
    ("logits for probabilities", set_(uploads__kind="probabilities"), "holds no probabilities"),
    ("sum", all_of(set_(uploads__kind="probabilities"), probabilities, array(x=softmax(logits(1, 0)) * 0.9)),
     "adds up to 0.9"),
    ("label out of range", table("5-3.png,5", "5-3.png,6"), "labels must be 0 to 5, or names; not those of 5-3.png"),
    ("label that is none", table("5-3.png,5", "5-3.png,eve"), "5-3.png ('eve')"),
    ("no label", table("5-3.png,5,", "5-3.png,,"), "5-3.png ('')"),
    ("no label column", table("file,label", "file,person"), "there is no column label"),
    ("domain", table("5-3.png,5,sensitive", "5-3.png,5,secret"), 'domain must be "sensitive" or "insensitive"'),
    ("short line", table("5-3.png,5,sensitive", "5-3.png"), "has not as many cells"),
    ("no file column", table("file,label", "image,label"), 'its first line must name the columns, "file"'),
    ("file twice", table("5-3.png", "5-2.png"), "names a file twice"),
    ("line without image", remove("public/5-3.png"), "names 1 image not there: 5-3.png"),
    ("image without line", table("5-3.png,5,sensitive\n", ""), "has no line for 1 image: 5-3.png"),
    ("one sensitive", table(",sensitive", ",insensitive"), "an attack needs two or more sensitive"),
    ("no table", remove("public.csv"), "public.csv: is missing"),
    ("size", resized, "different size: 0-0.png is 16x16, 3-1.png is 20x20; set public.image_size"),
    ("image damaged", lambda f: (f / "public/2-0.png").write_bytes(b"no image"), "2-0.png: not a readable image"),
    ("listed image missing", set_(public__order=["0-0.png", "9-9.png"]), "1 listed image missing: 9-9.png"),
    ("listed twice", set_(public__order=["0-0.png", "0-0.png"]), "0-0.png is listed 2 times"),
    ("no images", remove("public"), "public.images: there is no folder public"),
    ("target out of range", set_(targets=[0, 9], private=None), "9 is out of range: labels are 0 to 5"),
    ("unknown target", set_(targets=["eve"], private=None), "'eve' is no number"),
    ("target twice", set_(targets=[0, 0], private=None), "a target is named twice"),
    ("no private image", remove("private/1"), "there is no private image of target 1"),
    ("private stranger", lambda f: draw(f / "private/4/0.png", 4, 9), "'4' is called like no target"),
    ("owner of nobody", set_(private__owners={"0": "a", "1": "b", "5": "a"}), "5: no target is called like that"),
    ("owner unknown", set_(private__owners={"0": "a", "1": "z"}), "z: no client is called like that"),
    ("owner twice", set_(names=["alice", *"bcdef"], private__owners={"0": "a", "alice": "b", "1": "b"}),
     "0, alice are the same target; name its owner once"),
    ("owner missing", set_(private__owners={"0": "a"}), "says not who owns target 1"),
    ("nobody out", set_(private__game={"in": [0, 1], "out": []}), '"private.game.out": names nobody; without somebody'),
    ("nobody in", set_(private__game={"in": [], "out": [0]}), '"private.game.in": names nobody'),
    ("no side", set_(private__game={"in": [0]}), '"private.game.out": Field required'),
    ("another side", set_(private__game={"in": [0], "outt": [1]}), 'no such setting. Did you mean "out"?'),
    ("side of one", set_(private__game={"in": 0, "out": [1]}), '"private.game.in": Input should be a valid list'),
    ("game of a stranger", set_(private__game={"in": [0, 4, "eve"], "out": [1]}),
     "private.game.in: 4, eve: no target is called like that."),
    ("out of range", set_(private__game={"in": [0], "out": [10**7]}), '"private.game.out.0"'),
    ("in twice", set_(private__game={"in": [0, "0"], "out": [1]}), "private.game.in: 0: named twice"),
    ("in and out", set_(names=["alice", *"bcdef"], private__game={"in": [0, 1], "out": ["alice"]},
     private__owners=None), "private.game: target 0 is both in and out"),
    ("server missing", remove("logits/2-server.npz"), "2-server.npz: is missing; give every round"),
    ("client never", all_of(remove("logits/1-b.npz"), remove("logits/2-b.npz"), set_(
        private__owners={"0": "a", "1": "a"})), "client b has no file at all"),
    ("nobody", all_of(remove("logits/2-a.npz"), remove("logits/2-b.npz")), "no client has a file for round 2"),
    ("suffix", set_(uploads__files="logits/{round}-{client}.npz", server__files="public/{round}-0.png"),
     "is of no kind that is read; there is .npz, .npy, .safetensors, .csv"),
    ("setting", set_(public__imges="x"), 'there is no such setting. Did you mean "images"?'),
    ("format", set_(format=2), '"format"'),
    ("kind", set_(uploads__kind="votes"), '"uploads.kind"'),
    ("classes", set_(classes=10**12), '"classes"'),
    ("clients", set_(clients=10**9), '"clients"'),
    ("rounds", set_(rounds=10**9), '"rounds"'),
    ("too many", set_(clients=10_000, rounds=100_000), "more than 1,000,000"),
    ("client twice", set_(clients=["a", "a"]), '"clients" names one twice'),
    ("pattern", set_(uploads__files="logits/{round}.npz"), '"uploads.files" must differ by {client}'),
    ("pattern of rounds", set_(server__files="logits/server.npz"), '"server.files" must differ by {round}'),
    ("pattern of a client", set_(server__files="logits/{round}-{client}.npz"), "it has no {client}"),
    ("names", set_(names=["a", "b"]), '"names" must be 6 different names'),
    ("numbers as names", set_(names=["1", "2", "3", "4", "5", "6"]), '"names" must not be numbers'),
    ("order of nothing", set_(public__order="table", public__table=None), 'there is no "public.table"'),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), [e[1:] for e in ERRORS], ids=[e[0] for e in ERRORS])
def test_errors(capture: Path, tmp_path: Path, change: Change, message: str) -> None:
    change(capture)
    inspection = inspect(capture)
    lines = inspection.findings.lines()
    assert any(line.startswith("error") and message in line for line in lines), lines
    assert inspection.content is None
    with pytest.raises(UserError) as caught:
        import_recorded(capture, tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["pilot"]


def test_an_owner_that_never_answered_is_absent(capture: Path) -> None:
    """Whoever holds a target is a client, whether it was heard or not."""
    all_of(remove("logits/1-b.npz"), remove("logits/2-b.npz"))(capture)
    findings = inspect(capture).findings
    assert not findings.errors
    assert any("client b" in line and "warning" in line for line in findings.lines())


def constant(folder: Path) -> None:
    values = logits(1, 0)
    values[:, 5] = -3
    outputs(folder, "1-a", logits=values)


def repeated(folder: Path) -> None:
    values = logits(1, 0)
    values[7] = values[4]
    outputs(folder, "1-a", logits=values)


def copied(folder: Path) -> None:
    shutil.copy(folder / "logits/1-a.npz", folder / "logits/1-b.npz")


def shuffled(folder: Path) -> None:
    order = np.argsort((LABELS + 1 + np.arange(N)) % J, kind="stable")
    outputs(folder, "2-server", logits=logits(2, 2)[order][::-1])


def counted(folder: Path) -> None:
    for old, new in (("0-0", "img10"), ("0-1", "img2")):
        (folder / f"public/{old}.png").rename(folder / f"public/{new}.png")
        table(f"{old}.png", f"{new}.png")(folder)


WARNINGS: list[tuple[str, Change, str]] = [
    ("constant", constant, "1 column of 6 the same in every row, such as 5."),
    ("repeated rows", repeated, "1 row the same as another one, such as row 4."),
    ("copied file", copied, "logits/1-b.npz is the same as logits/1-a.npz; was a file copied?"),
    ("gap", remove("logits/2-b.npz"), "client b was absent in round 2"),
    ("no server", set_(server=None), "only attacks can run that need none: tbi, gap, and ridge and pli with q=client"),
    ("target without public image", all_of(table(",0,insensitive", ",5,sensitive")),
     "there is no public image of target 0"),
    ("sensitive target", table("0-0.png,0,insensitive", "0-0.png,0,sensitive"), "1 sensitive image of targets"),
    ("no domain", table("domain", "note"), "every public image counts as sensitive"),
    ("more columns", table("domain", "note"), "its columns note mean nothing here"),
    ("order of names", counted, 'img10.png comes before img2.png'),
    ("rows out of order", shuffled, "are the rows in the order of the images?"),
    ("left out", all_of(set_(public__order="table"), lambda f: draw(f / "public/9.png", 3, 3)),
     "1 image not listed and left out: 9.png"),
    ("side", set_(public__image_size=25), "images of side 25 suit ridge only"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), [w[1:] for w in WARNINGS], ids=[w[0] for w in WARNINGS])
def test_warnings(capture: Path, change: Change, message: str) -> None:
    change(capture)
    inspection = inspect(capture)
    lines = inspection.findings.lines()
    assert any(line.startswith("warning") and message in line for line in lines), lines
    assert inspection.content is not None, lines


def test_a_sound_capture_has_no_finding(shipped_capture: Path) -> None:
    assert inspect(shipped_capture).findings.lines() == []


def test_all_findings_are_listed(capture: Path) -> None:
    outputs(capture, "1-a", x=np.ones((N, J + 1), "f4"))
    outputs(capture, "2-b", x=changed((3, 2), np.nan))
    (capture / "logits/1-server.npz").unlink()
    constant_values = logits(2, 0)
    constant_values[:, 1] = 0
    outputs(capture, "2-a", x=constant_values)
    findings = inspect(capture).findings
    assert (findings.errors, findings.warnings) == (3, 1)
    assert [line.split(":")[0].split()[1] for line in findings.lines()] == [
        "logits/1-a.npz", "logits/2-b.npz", "logits/1-server.npz", "logits/2-a.npz",
    ]  # fmt: skip


def test_a_wrong_image_does_not_hide_a_wrong_file(capture: Path) -> None:
    (capture / "public/2-0.png").write_bytes(b"no image")
    (capture / "private/1/0.png").write_bytes(b"no image")
    outputs(capture, "1-a", x=np.ones((N, J + 1), "f4"))
    describe(capture, targets=[0, 1, 99])
    wheres = [line.split()[1].rstrip(":,") for line in inspect(capture).findings.lines()]
    assert wheres[:2] == ["targets", "private.owners"]
    assert {"public.images", "logits/1-a.npz"} <= set(wheres)


def test_problems_of_the_description_are_all_listed(capture: Path) -> None:
    describe(capture, format=7, classes="many", uploads__kind="votes", title=None)
    lines = inspect(capture).findings.lines()
    assert len(lines) == 4
    assert all("capture.yaml" in line for line in lines)


def test_gray_and_transparent_images_are_read(capture: Path) -> None:
    Image.new("L", (16, 16), 9).save(capture / "public/2-0.png")
    Image.new("RGBA", (16, 16), (9, 9, 9, 0)).save(capture / "public/2-1.png")
    content = inspect(capture).content
    assert content is not None
    assert content.public.data.images[8].unique().tolist() == [9]
    assert content.public.data.images[9].unique().tolist() == [255]


def test_thousands_of_findings_are_counted(capture: Path) -> None:
    describe(capture, rounds=1500, server=None, clients=["a", "b"])
    findings = inspect(capture).findings
    assert findings.errors == 1498
    assert findings.lines()[-1].startswith("... and ")
