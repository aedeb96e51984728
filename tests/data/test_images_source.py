"""Images of any classes: nested folders, a flat public set, arrays; what a stranger's folder holds does no harm."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file

from logitleak.config import DataConfig
from logitleak.data.division import Prepared
from logitleak.data.images import Images, ImagesSettings
from logitleak.data.overview import describe
from logitleak.data.split import prepare
from logitleak.errors import UserError

SIDE = 16


def picture(path: Path, value: int, size: tuple[int, int] = (20, 18), mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value, value, value)).save(path)


def source(root: Path | None, **settings: Any) -> Images:
    return Images(ImagesSettings(**settings), root, SIDE)


def divided(root: Path | None, clients: int = 2, **changes: Any) -> Prepared:
    config = {"source": "images", "root": root, "image_size": SIDE, "protocol": "one-domain", "held_out": 0}
    return prepare(DataConfig.model_validate(config | changes), clients, seed=0)


@pytest.fixture
def nested(tmp_path: Path) -> Path:
    """Classes 1, 2 and 10 with four images each at several depths, gray and color; and what else lies about."""
    for name in ("1", "2", "10"):
        for number in range(4):
            deep = ("2019", "spring") if number == 0 else ()
            place = Path(tmp_path, name, *deep, f"{number}.png")
            picture(place, 10 * int(name) + number, mode="L" if number == 1 else "RGB")
    picture(tmp_path / ".hidden" / "x.png", 1)
    (tmp_path / "1" / "notes.txt").write_text("mine")
    (tmp_path / "1" / "broken.jpg").write_bytes(b"no image")
    picture(tmp_path / "1" / ".thumbs" / "0.png", 1)
    os.symlink(tmp_path, tmp_path / "2" / "loop")
    os.symlink(tmp_path, tmp_path / "loop")
    return tmp_path


def test_a_nested_folder(nested: Path) -> None:
    dataset = source(nested).load()
    assert dict(source(nested).survey().sensitive) == {"1": 5, "2": 4, "10": 4}  # nothing is decoded for that
    assert sorted(set(dataset.sensitive.identities)) == ["1", "10", "2"]
    assert len(dataset.sensitive) == 12
    assert dataset.insensitive is None
    assert dataset.public is None
    said = {skipped.path: skipped.reason for skipped in dataset.sensitive.skipped}
    assert "not a readable image" in said["1/broken.jpg"]
    assert said[nested.name] == "1 file is of no kind that is read"


def test_classes_are_in_the_order_that_people_count_in(nested: Path) -> None:
    split = divided(nested).split
    assert list(split.truth.names) == ["1", "2", "10"]
    assert split.public.labels is not None
    shades = {
        label: set((split.truth.images[split.truth.labels == label, 0, 0, 0] // 10).tolist())
        for label in range(3)
    }
    assert shades == {0: {1}, 1: {2}, 2: {10}}
    assert bool(split.public.sensitive.all())


def test_a_share_is_public_and_nothing_is_on_two_sides(nested: Path) -> None:
    split = divided(nested, public_share=0.5, held_out=0.5).split
    values = [
        set(images[:, 0, 0, 0].tolist())
        for images in (split.public.images, split.truth.images, split.truth.held_images)
    ]
    assert sum(map(len, values)) == len(set.union(*values)) == 12


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("held_out", [0, 0.5])
def test_no_image_is_on_two_sides_at_any_share(nested: Path, share: float, held_out: float) -> None:
    split = divided(nested, public_share=share, held_out=held_out).split
    sides = (split.public.images, split.truth.images, split.truth.held_images)
    values = [images[:, 0, 0, 0].tolist() for images in sides]
    assert len({value for side in values for value in side}) == sum(map(len, values)) == 12
    assert split.truth.target_labels.tolist() == [0, 1, 2]
    assert split.truth.public_labels.unique().tolist() == [0, 1, 2]


def test_one_image_of_a_class_is_too_few_for_two_sides(nested: Path) -> None:
    with pytest.raises(UserError, match="raise data.max_images, or give a public set"):
        divided(nested, max_images=1)


@pytest.mark.parametrize("inside", [True, False])
def test_a_flat_public_set_has_no_labels(
    nested: Path, tmp_path_factory: pytest.TempPathFactory, inside: bool
) -> None:
    home = tmp_path_factory.mktemp("flat")
    for number in range(6):
        picture(home / "public" / f"{number}.jpg", 200)
    settings: dict[str, Any] = {"public": home / "public"}
    root = nested
    if inside:
        nested.rename(home / "private")
        settings, root = {}, home
    prepared = divided(root, settings=settings)
    assert prepared.split.public.labels is None
    assert prepared.split.truth.public_labels.tolist() == [-1] * 6
    assert len(prepared.split.truth.labels) == 12
    assert dict(source(root, **settings).survey().public or {}) == {"": 6}


def test_public_classes_may_be_others_and_a_class_keeps_its_number(
    nested: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("public")
    for name in ("2", "3", "9"):
        for number in range(3):
            picture(other / name / f"{number}.png", 150)
    split = divided(nested, settings={"public": other}).split
    assert list(split.truth.names) == ["1", "2", "3", "9", "10"]
    assert split.public.labels is not None
    assert sorted(set(split.public.labels.tolist())) == [1, 2, 3]
    assert sorted(set(split.truth.labels.tolist())) == [0, 1, 4]
    assert split.num_classes == 5


@pytest.mark.parametrize("kind", ["npz", "safetensors"])
@pytest.mark.parametrize("shape", ["gray", "last", "first"])
def test_arrays(kind: str, shape: str, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (12, 20, 20, 3), dtype=np.uint8)
    given = {
        "gray": images[..., 0],
        "last": images,
        "first": np.ascontiguousarray(images.transpose(0, 3, 1, 2)),
    }[shape]
    labels = np.arange(12) % 3
    path = tmp_path / f"mine.{kind}"
    if kind == "npz":
        np.savez(path, images=given, labels=labels)
    else:
        save_file({"images": given, "labels": labels}, path)
    dataset = source(None, private=path).load()
    assert dataset.sensitive.pixels.shape == (12, 3, SIDE, SIDE)
    assert list(dataset.sensitive.identities) == [str(label) for label in labels]
    assert dict(source(None, private=path).survey().sensitive) == {"0": 4, "1": 4, "2": 4}
    split = divided(None, settings={"private": path}).split
    assert len(split.truth.labels) + len(split.public) == 12


@pytest.mark.parametrize("shape", [(), (4,), (4, 16), (0, 16, 16), (4, 2, 16, 2)])
@pytest.mark.parametrize("kind", ["npz", "safetensors"])
def test_arrays_of_no_images_are_refused_when_they_are_counted(
    shape: tuple[int, ...], kind: str, tmp_path: Path
) -> None:
    path = tmp_path / f"x.{kind}"
    arrays = {"images": np.zeros(shape, np.uint8), "labels": np.zeros(shape[:1], np.int64)}
    if kind == "npz":
        np.savez(path, **arrays)
    else:
        save_file(arrays, path)
    for use in (Images.survey, Images.load):
        with pytest.raises(UserError, match=r"images: images are \[N, H, W\]") as caught:
            use(source(None, private=path))
        assert "\n" not in str(caught.value)


def test_a_class_folder_that_is_a_link_to_another_adds_no_image(nested: Path) -> None:
    """Else the same image would be of two classes, and of two clients."""
    os.symlink(nested / "10", nested / "0")
    (nested / "2" / "again.png").symlink_to(nested / "2" / "1.png")
    dataset = source(nested).load()
    assert sorted(set(dataset.sensitive.identities)) == ["1", "10", "2"]
    assert dict(source(nested).survey().sensitive) == {"1": 5, "2": 4, "10": 4}
    said = {skipped.path: skipped.reason for skipped in dataset.sensitive.skipped}
    assert said["0/1.png"] == "is 10/1.png again, by a link"  # the name that is no link is kept
    assert said["2/again.png"] == "is 2/1.png again, by a link"
    assert sum("by a link" in reason for reason in said.values()) == 5


def test_class_folders_elsewhere_may_be_links(nested: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("linked")
    for side, names in (("private", ("1", "2")), ("public", ("10",))):
        (home / side).mkdir()
        for name in names:
            os.symlink(nested / name, home / side / name)
    dataset = source(home).load()
    assert dataset.public is not None
    assert (len(dataset.sensitive), len(dataset.public)) == (8, 4)


@pytest.mark.parametrize("what", ["folder", "image", "flat"])
def test_an_image_that_is_private_and_public_by_a_link_is_refused(
    what: str, nested: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("linked")
    nested.rename(home / "private")
    picture(home / "public" / ("" if what == "flat" else "3") / "x.png", 150)
    target = home / "private" / "2"
    if what == "folder":
        os.symlink(target, home / "public" / "4")
    else:
        os.symlink(target / "1.png", home / "public" / ("" if what == "flat" else "3") / "y.png")
    for use in (Images.survey, Images.load):
        with pytest.raises(
            UserError, match=r"private and public at once, by links: .*; remove the links"
        ) as caught:
            use(source(home))
        assert "\n" not in str(caught.value)


def test_images_beside_class_folders_are_counted(
    nested: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("beside")
    nested.rename(home / "private")
    for number in range(3):
        picture(home / "public" / "3" / f"{number}.png", 150)
        picture(home / "public" / f"{number}.png", 200)
    picture(home / "private" / "x.png", 200)
    dataset = source(home).load()
    assert dataset.public is not None
    assert len(dataset.public) == 3
    reason = "3 images lie beside the folders, and nobody says what they show"
    assert {skipped.path: skipped.reason for skipped in dataset.public.skipped} == {"public": reason}
    said = list(describe(dataset))
    assert f"    skipped public: {reason}" in said
    assert any(line.startswith("    skipped private: 1 image lies beside the folders") for line in said)


def test_mistakes(tmp_path: Path, nested: Path) -> None:
    with pytest.raises(UserError, match="needs a folder"):
        source(None)
    with pytest.raises(UserError, match="one of both"):
        source(nested, private=nested)
    with pytest.raises(UserError, match="neither a folder nor"):
        source(nested, public=nested / "none")
    with pytest.raises(UserError, match="overlap"):
        source(nested, public=nested / "1")
    np.savez(tmp_path / "x.npz", pictures=np.zeros((2, 16, 16), np.uint8))
    with pytest.raises(UserError, match='holds pictures; an array "images" is needed'):
        source(None, private=tmp_path / "x.npz").load()
    np.savez(tmp_path / "y.npz", images=np.zeros((2, 16, 16), np.uint8), labels=np.zeros(3, int))
    with pytest.raises(UserError, match="labels must be 2 integers"):
        source(None, private=tmp_path / "y.npz").load()
    np.savez(tmp_path / "z.npz", images=np.array([{}, {}], object))
    with pytest.raises(UserError, match="cannot be read"):
        source(None, private=tmp_path / "z.npz").load()
    (tmp_path / "w.npz").write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot be read"):
        source(None, private=tmp_path / "w.npz").load()
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UserError, match="holds no images"):
        source(empty).load()


def test_the_seed_decides_and_owners_hold_what_they_own(nested: Path) -> None:
    first, again = divided(nested, partition="iid").split, divided(nested, partition="iid").split
    assert torch.equal(first.truth.owners, again.truth.owners)
    assert first.truth.shared
    for label in first.truth.target_labels.tolist():
        assert first.truth.owner_of(label) in first.truth.holders_of(label)


def test_names_that_count_alike_have_one_order(tmp_path: Path) -> None:
    for name in ("cls1", "cls01", "cls001"):
        for number in range(4):
            picture(tmp_path / name / f"{number}.png", 100 + number)
    assert list(divided(tmp_path).split.truth.names) == ["cls001", "cls01", "cls1"]


def test_labels_below_zero_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", images=np.zeros((4, 16, 16), np.uint8), labels=np.array([0, 1, -1, 1]))
    with pytest.raises(UserError, match="labels must be 0 or more"):
        source(None, private=tmp_path / "x.npz").load()
