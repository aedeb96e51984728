"""Folders of people."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from logitleak.data.decode import Crop
from logitleak.data.folder import Folder, FolderSettings, count_images, list_identities, read_identities
from logitleak.errors import UserError

People = Callable[..., Path]


def test_identities_and_files_in_order(people: People, tmp_path: Path) -> None:
    root = people(tmp_path / "people", identities=3, images=2)
    listed = list_identities(root)
    assert [name for name, _ in listed] == [f"person-{i:02d}" for i in range(3) for _ in range(2)]
    assert listed == sorted(listed)


def test_only_images_in_folders_of_identities_count(people: People, tmp_path: Path) -> None:
    root = people(tmp_path / "people", identities=2, images=2)
    (root / "person-00" / "notes.txt").write_text("no image")
    (root / "empty").mkdir()
    (root / ".hidden").mkdir()
    image = Image.new("RGB", (16, 16))
    image.save(root / ".hidden" / "0.png")
    image.save(root / "stray.png")
    assert count_images(root) == {"person-00": 2, "person-01": 2}
    (skipped,) = read_identities(root, 16).skipped
    assert skipped.reason.startswith("1 image lies beside the folders")


def test_nested_folders_and_upper_case_suffixes(tmp_path: Path) -> None:
    (tmp_path / "ann" / "2020").mkdir(parents=True)
    Image.new("RGB", (16, 16)).save(tmp_path / "ann" / "2020" / "A.JPG")
    Image.new("RGB", (16, 16)).save(tmp_path / "ann" / "b.PnG")
    assert count_images(tmp_path) == {"ann": 2}
    assert list(read_identities(tmp_path, 16).files) == ["ann/2020/A.JPG", "ann/b.PnG"]


def test_names_of_any_script(people: People, tmp_path: Path) -> None:
    root = people(tmp_path / "people", identities=1, images=1)
    (root / "person-00").rename(root / "Zoë 王")
    assert list(read_identities(root, 16).identities) == ["Zoë 王"]


def test_crop_is_passed_on(people: People, tmp_path: Path) -> None:
    root = people(tmp_path / "people", identities=1, images=1, side=32)
    whole, part = read_identities(root, 16), read_identities(root, 16, Crop(0, 16, 0, 16))
    assert (whole.pixels != part.pixels).any()


@pytest.mark.parametrize("make", [lambda root: None, lambda root: (root / "a").mkdir()])
def test_no_images(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path)
    with pytest.raises(
        UserError, match=r"holds no images in folders of identities; .*root/<identity>/<image>"
    ):
        list_identities(tmp_path)


def test_images_without_folders(tmp_path: Path) -> None:
    Image.new("RGB", (16, 16)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="a folder of its own"):
        list_identities(tmp_path)


def test_load(people: People, tmp_path: Path) -> None:
    root = people(tmp_path / "people", identities=2, images=2)
    other = people(tmp_path / "others", identities=2, images=3, seed=1)
    dataset = Folder(FolderSettings(insensitive=other, synthetic=True), root, 16).load()
    assert dataset.title == "people"
    assert dataset.synthetic
    assert dataset.insensitive is not None
    assert (len(dataset.sensitive), len(dataset.insensitive)) == (4, 6)
    assert Folder(FolderSettings(), root, 16).load().insensitive is None


def test_the_title_of_the_current_folder(
    people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(people(tmp_path / "people", identities=1, images=1))
    assert Folder(FolderSettings(), Path("."), 16).load().title == "people"


def test_missing_folders(people: People, tmp_path: Path) -> None:
    root = people(tmp_path / "people", identities=1, images=1)
    with pytest.raises(UserError, match=r"needs a folder; set data\.root \(root/<identity>/<image>\)"):
        Folder(FolderSettings(), None, 16)
    wrong = {
        tmp_path / "none": "There is no folder",
        root / "person-00" / "0.png": "a file where a folder is wanted",
    }
    for missing, message in wrong.items():
        with pytest.raises(UserError, match=message):
            Folder(FolderSettings(), missing, 16)
    with pytest.raises(UserError, match="There is no folder"):
        Folder(FolderSettings(insensitive=tmp_path / "none"), root, 16)


def test_sensitive_images_that_are_insensitive_by_a_link_are_refused(people: People, tmp_path: Path) -> None:
    root = people(tmp_path / "people", identities=2, images=1)
    other = people(tmp_path / "others", identities=1, images=1)
    (other / "person-01").symlink_to(root / "person-01")
    for use in (Folder.survey, Folder.load):
        with pytest.raises(UserError, match="1 image is sensitive and insensitive at once, by links"):
            use(Folder(FolderSettings(insensitive=other), root, 16))


def test_sensitive_and_insensitive_folders_must_not_overlap(people: People, tmp_path: Path) -> None:
    """Else private images would be public as they are, or the other domain a person of this one."""
    root = people(tmp_path / "people", identities=2, images=1)
    for other in (root, root / "person-00", tmp_path):
        with pytest.raises(UserError, match="overlap"):
            Folder(FolderSettings(insensitive=other), root, 16)
