"""Published sets: the folder that holds the people, however the archive was unpacked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from logitleak import registry
from logitleak.data.base import DataSource
from logitleak.data.published import PublishedSet, unpacked
from logitleak.errors import UserError

PUBLISHED = [name for name in registry.names("data") if registry.load("data", name).origin is not None]
Fill = Callable[[str, Path], Path]


@pytest.fixture
def fill(people: Callable[..., Path]) -> Fill:
    """Put three people with two images each into a folder, in the layout of a set."""

    def lookalike(name: str, root: Path) -> Path:
        people(root, identities=3, images=2)
        for number, person in enumerate(sorted(root.iterdir()), 1):
            if name == "lag":
                (person / "y").mkdir()
                (person / "1.png").rename(person / "y" / "1.png")
            if name == "att":
                person.rename(root / f"s{number}")
        return root

    return lookalike


def build(name: str, root: Path | None) -> DataSource:
    source_class = registry.load("data", name)
    source: DataSource = source_class(source_class.Settings(), root, 16)
    return source


def test_which_sets_are_published() -> None:
    assert PUBLISHED == ["lfw", "att", "lag", "facescrub"]


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("around", ["the-set", "the-set/the-set"])
def test_every_unpacking_gives_the_same(name: str, around: str, fill: Fill, tmp_path: Path) -> None:
    """Also the names of files, which seed what is done to single images."""
    flat = build(name, fill(name, tmp_path / "flat")).load()
    fill(name, tmp_path / "deep" / around)
    (tmp_path / "deep" / "README.txt").write_text("no folder of people")
    (tmp_path / "deep" / "__MACOSX" / around).mkdir(parents=True)
    deep = build(name, tmp_path / "deep").load()
    assert deep.sensitive.files == flat.sensitive.files
    assert deep.sensitive.identities == flat.sensitive.identities
    np.testing.assert_array_equal(deep.sensitive.pixels, flat.sensitive.pixels)
    assert dict(build(name, tmp_path / "deep").survey().sensitive) == dict(
        build(name, tmp_path / "flat").survey().sensitive
    )


def test_a_single_person_is_no_folder_of_the_set(tmp_path: Path) -> None:
    """A folder with images is a person's, and so is one that holds only folders that persons have."""
    (tmp_path / "set" / "Ann" / "y").mkdir(parents=True)
    assert unpacked(tmp_path, frozenset({"y"})) == tmp_path / "set"
    Image.new("RGB", (16, 16)).save(tmp_path / "set" / "Ann" / "0.png")
    assert unpacked(tmp_path) == tmp_path / "set"
    (tmp_path / "set" / "Bo").mkdir()
    assert unpacked(tmp_path) == tmp_path / "set"
    assert unpacked(tmp_path / "set") == tmp_path / "set"


def test_hidden_files_of_archivers_are_no_images(people: Callable[..., Path], tmp_path: Path) -> None:
    root = people(tmp_path / "set", identities=2, images=1)
    (root / "person-00" / "._0.png").write_bytes(b"resource fork")
    (root / "__MACOSX" / "person-00").mkdir(parents=True)
    (root / "__MACOSX" / "person-00" / "0.png").write_bytes(b"resource fork")
    for name in ("lfw", "facescrub", "folder"):
        assert dict(build(name, root).survey().sensitive) == {"person-00": 1, "person-01": 1}


@pytest.mark.parametrize("name", PUBLISHED)
def test_errors_say_where_the_set_is_published(name: str, tmp_path: Path) -> None:
    source_class: type[PublishedSet] = registry.load("data", name)
    (tmp_path / "somebody").mkdir()
    for root in (None, tmp_path / "none", tmp_path):
        with pytest.raises(UserError) as caught:
            build(name, root).survey()
        said = str(caught.value)
        assert said.endswith(
            f"{source_class.origin.title} is published here: {source_class.origin.published}."
        )
        assert "\n" not in said


@pytest.mark.parametrize("name", PUBLISHED)
def test_origins_are_whole(name: str) -> None:
    origin = registry.load("data", name).origin
    for value in dataclasses.asdict(origin).values():
        assert value or value == {}
        assert "\n" not in str(value)
    assert not origin.each or sum(origin.each.values()) == origin.images


def test_att_knows_its_people(people: Callable[..., Path], tmp_path: Path) -> None:
    root = people(tmp_path / "others", identities=3, images=2)
    with pytest.raises(UserError, match="holds no images in this layout: root/s1/1.pgm"):
        build("att", root).load()
