"""`logitleak data prepare`: what it says of a download, whole, in part, damaged or wrong."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from logitleak import cli, registry
from logitleak.data.att import ATT
from logitleak.data.base import Dataset, ImageSet, Origin, Survey
from logitleak.data.cache import cache_folder
from logitleak.data.prepare import completeness, left_out, prepare

People = Callable[..., Path]
SET = Origin("a set", "somebody, somewhere", "some", people=3, images=6)


def lines(source: str, root: Path | None) -> list[str]:
    return list(prepare(source, root, 16))


def att(root: Path, people: People, count: int = 40) -> Path:
    made = people(root, identities=count, images=10, side=16)
    for number in range(count):
        (made / f"person-{number:02d}").rename(made / f"s{number + 1}")
    return made


def test_a_complete_set(people: People, tmp_path: Path) -> None:
    said = lines("att", att(tmp_path / "att", people))
    assert said[:4] == [
        "AT&T faces",
        "  sensitive: 40 people, 400 images, 10 to 10 each, 16x16 pixels",
        "  insensitive: none of its own; a degradation makes it, or the protocol one-domain needs none",
        "  complete: all 40 people and 400 images that were published",
    ]
    assert said[-2:] == [f"  published: {ATT.origin.published}", f"  terms: {ATT.origin.terms}"]


def test_what_is_missing_is_named(people: People, tmp_path: Path) -> None:
    root = att(tmp_path / "att", people, 39)
    (root / "s7" / "3.png").unlink()
    assert "  found 39 of 40 people and 389 of 400 images; missing: s7 has 9 of 10, s40 has 0 of 10" in lines(
        "att", root
    )


def test_a_damaged_image_among_good_ones(people: People, tmp_path: Path) -> None:
    """It is there, so it is not missing; it is told and left out."""
    root = people(tmp_path / "lfw", identities=3, images=3)
    (root / "person-01" / "1.png").write_bytes(b"\x89PNG broken")
    said = lines("lfw", root)
    assert "  sensitive: 3 people, 8 images, 2 to 3 each, 16x16 pixels" in said
    assert any(line.startswith("    skipped person-01/1.png: not a readable image") for line in said)
    assert "  found 3 of 5,749 people and 9 of 13,233 images; a part can be used as it is" in said


def test_the_images_are_in_the_cache(people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGITLEAK_CACHE", str(tmp_path / "own-cache"))
    lines("facescrub", people(tmp_path / "facescrub", identities=2, images=2))
    assert len(list(cache_folder().glob("*.npy"))) == 1


def test_lag_tells_who_is_left_out_and_what_repeats(people: People, tmp_path: Path) -> None:
    root = people(tmp_path / "lag", identities=7, images=1)
    young = people(tmp_path / "young", identities=7, images=1, seed=5)
    for number in range(7):
        name = f"person-{number:02d}"
        if number != 6:
            shutil.copytree(young / name, root / name / "y")
        if 0 < number < 5:
            (root / name / "0.png").unlink()
    shutil.copy(root / "person-00" / "0.png", root / "person-00" / "y" / "copy.png")
    shutil.copy(young / "person-05" / "0.png", root / "person-06" / "other.png")
    said = lines("lag", root)
    assert "  left out: 1 with no insensitive image (person-06)" in said
    assert "  left out: 4 with no sensitive image (person-01, person-02, person-03 and 1 more)" in said
    at = said.index(
        "  2 near-duplicates, kept: 1 of another person, 1 of the same person in the other domain"
    )
    assert said[at + 1 : at + 3] == [
        "    person-05/y/0.png is like person-06/other.png",
        "    person-00/y/copy.png is like person-00/0.png",
    ]


def test_no_near_duplicates_no_word(people: People, tmp_path: Path) -> None:
    said = lines("facescrub", people(tmp_path / "facescrub", identities=8, images=1, side=64))
    assert not any("near-duplicates" in line for line in said)


def test_sets_without_an_origin(six_people: Path) -> None:
    said = "\n".join(lines("folder", six_people))
    assert "found" not in said
    assert "published" not in said


@pytest.mark.parametrize(
    ("sensitive", "insensitive", "said"),
    [
        ({"a": 2, "b": 2, "c": 2}, None, "complete: all 3 people and 6 images that were published"),
        ({"a": 2, "b": 2}, {"a": 1, "c": 1}, "complete: all 3 people and 6 images that were published"),
        ({"a": 2, "b": 2}, None, "found 2 of 3 people and 4 of 6 images; a part can be used as it is"),
        ({"a": 3, "b": 2, "c": 2}, None, "found 3 of 3 people and 7 of 6 images: more than was published; "),
        ({"a": 1, "b": 1, "c": 1, "d": 1}, None, "found 4 of 3 people and 4 of 6 images: more than was"),
    ],
)
def test_completeness(sensitive: dict[str, int], insensitive: dict[str, int] | None, said: str) -> None:
    assert completeness(SET, Survey(sensitive, insensitive)).startswith(said)


def test_completeness_of_a_listed_set() -> None:
    """As many as were published are not all of them."""
    listed = Origin("a set", "somebody", "some", people=2, images=4, each={"a": 2, "b": 2})
    assert completeness(listed, Survey({"a": 2, "b": 2})).startswith("complete")
    assert completeness(listed, Survey({"a": 3, "b": 1})).endswith("missing: b has 1 of 2")
    assert "another set mixed in" in completeness(listed, Survey({"a": 2, "c": 2}))


def test_a_damaged_image_can_leave_a_person_out(people: People, tmp_path: Path) -> None:
    root = people(tmp_path / "lag", identities=2, images=1)
    for number in range(2):
        made = people(tmp_path / "made", identities=1, images=1, seed=number + 1)
        (made / "person-00").rename(root / f"person-{number:02d}" / "y")
    (root / "person-01" / "y" / "0.png").write_bytes(b"broken")
    said = lines("lag", root)
    assert "  left out: 1 with no insensitive image (person-01)" in said
    assert "  found 2 of 1,010 people and 4 of 3,828 images; a part can be used as it is" in said


def test_nobody_is_left_out_of_one_domain() -> None:
    one = ImageSet(np.zeros((1, 3, 16, 16), np.uint8), ["a"], ["a/0.png"])
    assert list(left_out(Dataset("one", True, one))) == []


@pytest.mark.parametrize("name", ["lfw", "att", "lag", "facescrub"])
@pytest.mark.parametrize("folder", [None, "none", "empty", "flat", "file.txt"])
def test_wrong_folders_are_one_line_that_says_where_to_get_the_set(
    name: str, folder: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "flat").mkdir()
    (tmp_path / "file.txt").write_text("no folder")
    Image.new("RGB", (16, 16)).save(tmp_path / "flat" / "stray.png")
    arguments = [] if folder is None else ["--root", str(tmp_path / folder)]
    with pytest.raises(SystemExit) as caught:
        cli.main(["data", "prepare", name, *arguments])
    said = capsys.readouterr()
    assert caught.value.code == 2
    assert said.out == ""
    assert re.fullmatch(r"logitleak: [^\n]+\n", said.err)
    assert registry.load("data", name).origin.published in said.err


def test_the_command(people: People, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = people(tmp_path / "lfw", identities=2, images=2)
    cli.main(["data", "prepare", "lfw", "--root", str(tmp_path)])
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "Labeled Faces in the Wild, deep-funneled"
    assert out[-1].startswith("  terms: ")
    assert root.is_dir()
