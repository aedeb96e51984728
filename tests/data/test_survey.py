"""The contract of every registered data source: a survey counts what loading finds, and says what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from logitleak import registry
from logitleak.data.base import DataSource, ImageSet
from logitleak.data.lfw import FACE
from logitleak.errors import UserError
from needs import require

SOURCES = registry.names("data")
SIDES = {"synthetic": 64}
Make = Callable[[str], tuple[dict[str, Any], Path | None]]


@pytest.fixture
def make(tmp_path: Path, people: Callable[..., Path]) -> Make:
    """Settings and a look-alike folder for a source; sources without one must ship their data."""

    def lookalike(name: str) -> tuple[dict[str, Any], Path | None]:
        rng = np.random.default_rng(0)
        if name == "lfw":
            for person, count in (("Ann_Bo", 2), ("Cy_Dee", 1)):
                (tmp_path / person).mkdir()
                for i in range(count):
                    pixels = rng.integers(0, 256, (250, 250, 3), np.uint8)
                    Image.fromarray(pixels).save(tmp_path / person / f"{person}_{i + 1:04d}.jpg")
            return {}, tmp_path
        if name == "att":
            for person in range(1, 4):
                (tmp_path / f"s{person}").mkdir()
                for i in range(1, 4):
                    pixels = rng.integers(0, 256, (112, 92), np.uint8)
                    Image.fromarray(pixels).save(tmp_path / f"s{person}" / f"{i}.pgm")
            return {}, tmp_path
        if name == "lag":
            people(tmp_path, identities=3, images=2)
            for person in range(3):
                young = people(tmp_path / "made", identities=1, images=1 + person, seed=9) / "person-00"
                young.rename(tmp_path / f"person-{person:02d}" / "y")
            (tmp_path / "made").rmdir()
            return {}, tmp_path
        if name == "facescrub":
            people(tmp_path / "actors", identities=2, images=2)
            people(tmp_path / "women", identities=1, images=3, seed=1)
            (tmp_path / "actresses").mkdir()
            (tmp_path / "women" / "person-00").rename(tmp_path / "actresses" / "person-09")
            (tmp_path / "women").rmdir()
            return {}, tmp_path
        if name == "folder":
            people(tmp_path / "a", identities=3, images=2)
            people(tmp_path / "b", identities=2, images=3)
            return {"insensitive": tmp_path / "b"}, tmp_path / "a"
        if name == "images":
            people(tmp_path / "private", identities=3, images=2)
            people(tmp_path / "public", identities=4, images=3)
            return {}, tmp_path
        if name == "digits":
            require("sklearn")
        return {}, None

    return lookalike


def build(name: str, settings: dict[str, Any], root: Path | None) -> DataSource:
    source_class = registry.load("data", name)
    source: DataSource = source_class(source_class.Settings(**settings), root, SIDES.get(name, 16))
    return source


def counts(images: ImageSet) -> dict[str, int]:
    return dict(Counter(images.identities))


@pytest.mark.parametrize("name", SOURCES)
def test_survey_counts_what_loading_finds(name: str, make: Make) -> None:
    source = build(name, *make(name))
    survey, dataset = source.survey(), source.load()
    assert dict(survey.sensitive) == counts(dataset.sensitive)
    assert (survey.insensitive is None) == (dataset.insensitive is None)
    if survey.insensitive is not None and dataset.insensitive is not None:
        assert dict(survey.insensitive) == counts(dataset.insensitive)
    assert (survey.public is None) == (dataset.public is None)
    if survey.public is not None and dataset.public is not None:
        assert dict(survey.public) == counts(dataset.public)


@pytest.mark.parametrize("name", SOURCES)
def test_what_loading_gives(name: str, make: Make) -> None:
    source = build(name, *make(name))
    dataset, again = source.load(), source.load()
    assert dataset.title
    side = SIDES.get(name, 16)
    for images in filter(None, (dataset.sensitive, dataset.insensitive, dataset.public)):
        assert images.pixels.dtype == np.uint8
        assert images.pixels.shape == (len(images), 3, side, side)
        assert len(set(images.files)) == len(images.files) == len(images)
        assert not images.skipped
    np.testing.assert_array_equal(dataset.sensitive.pixels, again.sensitive.pixels)


@pytest.mark.parametrize("name", SOURCES)
def test_layout_and_root(name: str, tmp_path: Path) -> None:
    source_class = registry.load("data", name)
    assert "root/" in source_class.layout
    if source_class.needs_root:
        with pytest.raises(UserError, match="needs a folder"):
            build(name, {}, None)
    with pytest.raises(UserError, match="There is no folder"):
        build(name, {}, tmp_path / "none")
    for act in ("load", "survey"):
        with pytest.raises(UserError, match=r"holds no images|There is no folder|leave data.root out"):
            getattr(build(name, {}, tmp_path), act)()


def test_lfw_takes_the_face(tmp_path: Path) -> None:
    pixels = np.zeros((250, 250, 3), np.uint8)
    pixels[FACE.top : FACE.bottom, FACE.left : FACE.right] = 255
    (tmp_path / "Ann").mkdir()
    Image.fromarray(pixels).save(tmp_path / "Ann" / "Ann_0001.png")
    assert (build("lfw", {}, tmp_path).load().sensitive.pixels == 255).all()


def test_att_is_gray_and_square(make: Make) -> None:
    settings, root = make("att")
    images = build("att", settings, root).load().sensitive.pixels
    np.testing.assert_array_equal(images[:, 0], images[:, 1])
