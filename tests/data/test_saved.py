"""Hugging Face datasets that were saved to disk: splits, columns, and what is wrong with them, in one line."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from logitleak.config import DataConfig
from logitleak.data.images import Images, ImagesSettings
from logitleak.data.overview import describe
from logitleak.data.split import prepare
from logitleak.errors import UserError
from needs import require

SIDE = 16
CLASSES = ["cat", "dog", "emu"]
Save = Callable[..., Path]


def source(root: Path, **settings: Any) -> Images:
    return Images(ImagesSettings(**settings), root, SIDE)


@pytest.fixture
def library() -> Any:
    return require("datasets")


@pytest.fixture
def table(library: Any) -> Callable[..., Any]:
    """A factory of datasets of 12 images of three classes: shade 10 times the class plus the number of the image."""

    def make(start: int = 0, labels: Any = None, **more: Any) -> Any:
        shades = [10 * (row % 3) + row // 3 + start for row in range(12)]
        pictures = [Image.new("RGB", (20, 18), (shade,) * 3) for shade in shades]
        kinds = {"picture": library.Image(), "kind": library.ClassLabel(names=CLASSES)}
        given = [row % 3 for row in range(12)] if labels is None else labels
        kinds |= {name: feature for name, (feature, _) in more.items()}
        columns = {"picture": pictures, "kind": given} | {name: values for name, (_, values) in more.items()}
        return library.Dataset.from_dict(columns, features=library.Features(kinds))

    return make


@pytest.fixture
def save(library: Any, tmp_path: Path) -> Save:
    """Saves a dataset, or several as splits."""

    def write(table: Any = None, **splits: Any) -> Path:
        place = tmp_path / "birds"
        library.disable_progress_bars()
        (library.DatasetDict(splits) if table is None else table).save_to_disk(str(place))
        return place

    return write


def test_one_dataset(table: Callable[..., Any], save: Save) -> None:
    made = source(save(table()))
    dataset = made.load()
    assert dataset.title == "birds"
    assert dataset.public is None
    assert dict(made.survey().sensitive) == {"cat": 4, "dog": 4, "emu": 4}
    assert Counter(dataset.sensitive.identities) == made.survey().sensitive
    assert dataset.sensitive.pixels.shape == (12, 3, SIDE, SIDE)
    shades = [int(image[0, 0, 0]) // 10 for image in dataset.sensitive.pixels]
    assert [CLASSES[shade] for shade in shades] == list(dataset.sensitive.identities)
    assert len(set(dataset.sensitive.files)) == 12
    config = DataConfig(source="images", root=made.root, image_size=SIDE, protocol="one-domain")
    assert list(prepare(config, 2, seed=0).split.truth.names) == CLASSES


def test_train_is_private_and_test_is_public(table: Callable[..., Any], save: Save) -> None:
    root = save(train=table(), test=table(100), validation=table(200))
    dataset = source(root).load()
    assert dataset.title == "birds"
    assert dataset.public is not None
    assert int(dataset.sensitive.pixels.max()) < 100 <= int(dataset.public.pixels.min())
    assert dict(source(root).survey().public or {}) == {"cat": 4, "dog": 4, "emu": 4}
    assert "    skipped validation: a split that is not used" in list(describe(dataset))


def test_splits_that_are_named(table: Callable[..., Any], save: Save, tmp_path: Path) -> None:
    root = save(train=table(), test=table(100), extra=table(200))
    found = source(root, split="extra", public_split="train").load()
    assert found.public is not None
    assert int(found.sensitive.pixels.min()) >= 200
    assert int(found.public.pixels.max()) < 100
    assert source(root, public_split="none").load().public is None
    other = tmp_path / "other"
    table(150).save_to_disk(str(other))
    apart = source(root, public=other).load().public
    assert apart is not None
    assert int(apart.pixels.min()) >= 150
    assert source(root, split="test").load().public is None
    for settings, said in (
        ({"split": "tran"}, 'has no split "tran". Did you mean "train"?'),
        ({"public_split": "none of these"}, 'has no split "none of these"'),
        ({"split": "extra", "public_split": "extra"}, "overlap"),
    ):
        with pytest.raises(UserError, match=said):
            source(root, **settings)
    with pytest.raises(UserError, match="has no splits; leave data.settings.split out"):
        source(other, split="train")


def test_a_public_split_without_labels(table: Callable[..., Any], save: Save) -> None:
    root = save(train=table(), test=table(100, labels=[-1] * 12))
    public = source(root).load().public
    assert public is not None
    assert set(public.identities) == {""}
    assert dict(source(root).survey().public or {}) == {"": 12}
    bare = save(train=table(), test=table(100).remove_columns("kind"))
    assert dict(source(bare).survey().public or {}) == {"": 12}


def test_columns_by_type_or_by_name(library: Any, table: Callable[..., Any], save: Save) -> None:
    numbers = library.Value("int32"), list(range(12))
    words = library.Value("string"), ["north", "south"] * 6
    root = save(table(age=numbers, region=words).with_format("numpy"))
    assert set(source(root).survey().sensitive) == set(CLASSES)  # a class label counts before numbers
    assert len(source(root, label_column="age").survey().sensitive) == 12
    assert set(source(root, label_column="region").load().sensitive.identities) == {"north", "south"}
    plain = save(table(age=numbers).remove_columns("kind"))
    assert set(source(plain).survey().sensitive) == set(map(str, range(12)))
    second = table(age=numbers, year=numbers, back=(library.Image(), [None] * 12)).remove_columns("kind")
    root = save(second)
    for settings, said in (
        ({}, "2 columns of images (picture, back); name one with data.settings.image_column"),
        (
            {"image_column": "picture"},
            "2 columns of labels (age, year); name one with data.settings.label_column",
        ),
        ({"image_column": "pictures"}, 'no column "pictures" of images. Did you mean "picture"?'),
        ({"image_column": "picture", "label_column": "back"}, 'no column "back" of labels'),
    ):
        with pytest.raises(UserError) as caught:
            source(root, **settings).survey()
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)
    none = save(table().remove_columns(["kind"]))
    with pytest.raises(UserError, match="has no column of labels; private images need them"):
        source(none).survey()


def test_images_that_cannot_be_read_are_counted(library: Any, table: Callable[..., Any], save: Save) -> None:
    whole = table().cast_column("picture", library.Image(decode=False))
    values = whole[:]["picture"]
    values[3] = {"bytes": b"no image", "path": None}
    values[5] = None
    broken = library.Dataset.from_dict(
        {"picture": values, "kind": whole[:]["kind"]}, features=table().features
    )
    dataset = source(save(broken)).load()
    assert len(dataset.sensitive) == 10
    said = {skipped.path: skipped.reason for skipped in dataset.sensitive.skipped}
    assert set(said) == {"birds/3", "birds/5"}
    assert "not a readable image" in said["birds/3"]
    assert said["birds/5"] == "no image is in the dataset; save it with its images"


def test_datasets_with_faults(library: Any, table: Callable[..., Any], save: Save) -> None:
    with pytest.raises(UserError, match='1 of 12 rows have no label in "kind"'):
        source(save(table(labels=[*range(3), -1] + [0] * 8))).survey()
    numbers = library.Value("int64"), [-5, *range(11)]
    with pytest.raises(UserError, match='"age" holds -5, which is no label'):
        source(save(table(age=numbers)), label_column="age").survey()
    root = save(table())
    next(root.glob("*.arrow")).write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot be read as a saved dataset") as caught:
        source(root).load()
    assert "\n" not in str(caught.value)


def test_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("state.json", "dataset_info.json"):
        (tmp_path / name).write_text("{}")
    monkeypatch.setitem(sys.modules, "datasets", None)
    for use in (Images.survey, Images.load):
        with pytest.raises(UserError, match='pip install "logitleak') as caught:
            use(source(tmp_path))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"splits": []}', '{"splits": ["../x"]}', '{"splits": [".."]}', '{"splits": 3}']
)
def test_splits_that_lead_elsewhere(text: str, tmp_path: Path) -> None:
    (tmp_path / "dataset_dict.json").write_text(text)
    with pytest.raises(UserError, match="dataset_dict.json names no splits"):
        source(tmp_path)


def test_a_split_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "dataset_dict.json").write_text(json.dumps({"splits": ["train"]}))
    with pytest.raises(UserError, match="train is neither a folder nor"):
        source(tmp_path)


def test_settings_of_saved_datasets_have_no_effect_elsewhere(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / str(number % 2)).mkdir(exist_ok=True)
        Image.fromarray(np.zeros((16, 16), np.uint8)).save(tmp_path / str(number % 2) / f"{number}.png")
    with pytest.raises(UserError, match="has no splits"):
        source(tmp_path, split="train")
    with pytest.raises(UserError, match="no dataset that was saved to disk, and has no columns"):
        source(tmp_path, label_column="kind")
