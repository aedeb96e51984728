"""What a data set holds, in lines and in one picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from logitleak.data.base import Dataset, ImageSet, Skipped
from logitleak.data.overview import describe, load, sheet
from logitleak.errors import UserError


def flat(counts: dict[str, int], value: int) -> ImageSet:
    names = [name for name, count in counts.items() for _ in range(count)]
    return ImageSet(
        np.full((len(names), 3, 16, 16), value, np.uint8), names, [f"{i}" for i in range(len(names))]
    )


@pytest.fixture
def dataset() -> Dataset:
    return Dataset("two", True, flat({"a": 3, "b": 1}, 50), flat({"a": 2, "b": 2}, 100))


def test_load(six_people: Path) -> None:
    assert len(load("folder", six_people, 16).sensitive) == 24


@pytest.mark.parametrize("side", [0, -3, 15, 257, 100_000])
def test_sizes_that_no_run_takes(six_people: Path, side: int) -> None:
    with pytest.raises(UserError, match="16 to 256 pixels"):
        load("folder", six_people, side)


def test_load_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='No data is called "foldr".*"folder"'):
        load("foldr", tmp_path, 16)
    with pytest.raises(UserError, match="needs a folder"):
        load("folder", None, 16)
    with pytest.raises(UserError, match="holds no images"):
        load("folder", tmp_path, 16)


def test_describe(dataset: Dataset) -> None:
    bad = ImageSet(dataset.sensitive.pixels, dataset.sensitive.identities, [], [Skipped("a/9.png", "broken")])
    lines = list(describe(Dataset("two", True, bad, dataset.insensitive)))
    assert lines == [
        "two",
        "  sensitive: 2 people, 4 images, 1 to 3 each, 16x16 pixels",
        "    skipped a/9.png: broken",
        "  insensitive: 2 people, 4 images, 2 to 2 each, 16x16 pixels",
    ]
    assert "a degradation makes it" in list(describe(Dataset("one", True, dataset.sensitive)))[-1]


def test_many_damaged_files_are_counted(dataset: Dataset) -> None:
    skipped = [Skipped(f"a/{i}.png", "broken") for i in range(13)]
    bad = ImageSet(dataset.sensitive.pixels, dataset.sensitive.identities, [], skipped)
    lines = list(describe(Dataset("one", True, bad)))
    assert lines[2:13] == [f"    skipped a/{i}.png: broken" for i in range(10)] + ["    skipped 3 more"]


def test_sheet(dataset: Dataset, tmp_path: Path) -> None:
    sheet(dataset, tmp_path / "new" / "sheet.png", people=2, images=3, degradation=None)
    pixels = np.asarray(Image.open(tmp_path / "new" / "sheet.png"))
    assert pixels.shape == (2 * 16, 3 * 16 + 4 + 3 * 16, 3)
    assert (pixels[:16, :48] == 50).all()
    assert (pixels[16:, :16] == 50).all()
    assert (pixels[16:, 16:48] == 255).all()  # there is no second image
    assert (pixels[:16, 52:84] == 100).all()


def test_a_sheet_of_fewer_people(dataset: Dataset, tmp_path: Path) -> None:
    sheet(dataset, tmp_path / "sheet.png", people=1, images=1, degradation=None)
    assert Image.open(tmp_path / "sheet.png").size == (16 + 4 + 16, 16)
    sheet(
        Dataset("one", True, dataset.sensitive), tmp_path / "sheet.png", people=9, images=1, degradation=None
    )
    assert Image.open(tmp_path / "sheet.png").size == (16, 32)


def test_a_degraded_sheet(six_people: Path, tmp_path: Path) -> None:
    sheet(load("folder", six_people, 16), tmp_path / "sheet.PNG", people=3, images=2, degradation="blur")
    pixels = np.asarray(Image.open(tmp_path / "sheet.PNG")).astype(float)
    assert pixels.shape == (48, 32 + 4 + 32, 3)
    assert pixels[:, 36:].std() < pixels[:, :32].std()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"people": 0}, "at least one person"),
        ({"images": 0}, "at least one person and one image"),
        ({"out": "sheet.jpg"}, "must end in .png"),
        ({"degradation": "blurr"}, 'Did you mean "blur"'),
    ],
)
def test_errors(dataset: Dataset, tmp_path: Path, changes: dict[str, object], message: str) -> None:
    arguments = {"out": "sheet.png", "people": 2, "images": 2, "degradation": None} | changes
    with pytest.raises(UserError, match=message):
        sheet(dataset, tmp_path / str(arguments.pop("out")), **arguments)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
