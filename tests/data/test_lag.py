"""Large Age-Gap: two domains in a folder of each person, and two ways to cut the face."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from logitleak.config import DataConfig
from logitleak.data.lag import LAG, LAGSettings
from logitleak.data.split import prepare
from logitleak.errors import UserError

Add = Callable[..., None]


@pytest.fixture
def add(draw: Callable[..., np.ndarray]) -> Add:  # type: ignore[type-arg]
    """Write one image."""

    def write(path: Path, identity: int, number: int, side: int = 100) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw(identity, number, side)).save(path)

    return write


@pytest.fixture
def root(tmp_path: Path, add: Add) -> Path:
    """Four people with both domains, one without adult images and one without young ones."""
    folder = tmp_path / "lag"
    for person, name in enumerate(("Ann", "Bo", "Cy", "Di")):
        for number in range(2 + person):
            add(folder / name / f"{number}.png", person, number)
        add(folder / name / "y" / "a.png", person, 50)
    add(folder / "Young Only" / "y" / "a.png", 8, 0)
    add(folder / "Adult Only" / "a.png", 9, 0)
    (folder / "README.txt").write_text("terms")
    return folder


def load(root: Path, side: int = 64, crop: str = "center") -> np.ndarray:  # type: ignore[type-arg]
    return LAG(LAGSettings(crop=crop), root, side).load().sensitive.pixels  # type: ignore[arg-type]


def test_layout(root: Path) -> None:
    dataset, survey = LAG(LAGSettings(), root, 16).load(), LAG(LAGSettings(), root, 16).survey()
    assert dict(survey.sensitive) == {"Adult Only": 1, "Ann": 2, "Bo": 3, "Cy": 4, "Di": 5}
    assert survey.insensitive == {"Ann": 1, "Bo": 1, "Cy": 1, "Di": 1, "Young Only": 1}
    assert dataset.insensitive is not None
    assert list(dataset.sensitive.files[1:3]) == ["Ann/0.png", "Ann/1.png"]
    assert dataset.insensitive.files[0] == "Ann/y/a.png"
    assert not dataset.synthetic


def test_who_lacks_a_domain_is_left_out_and_counted(root: Path) -> None:
    config = DataConfig(source="lag", root=root, image_size=16, targets=2, held_out=0)
    prepared = prepare(config, clients=2, seed=0)
    assert prepared.split.truth.names == ["Ann", "Bo", "Cy", "Di"]
    assert {(s.path, s.reason) for s in prepared.skipped} == {
        ("Adult Only", "no insensitive image"),
        ("Young Only", "no sensitive image"),
    }
    assert int((~prepared.split.public.sensitive).sum()) == 4  # everybody's young images


def test_the_middle_64_pixels(root: Path) -> None:
    pixels = np.asarray(Image.open(root / "Ann" / "0.png")).transpose(2, 0, 1)
    np.testing.assert_array_equal(load(root)[1], pixels[:, 18:82, 18:82])


def test_the_whole_frame(root: Path) -> None:
    whole = Image.open(root / "Ann" / "0.png").resize((64, 64), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(load(root, crop="resize")[1], np.asarray(whole).transpose(2, 0, 1))


@pytest.mark.parametrize("side", [80, 200, 250])
def test_other_sizes_are_cropped_by_the_same_share(tmp_path: Path, add: Add, side: int) -> None:
    for name, size in (("small", 100), ("large", side)):
        add(tmp_path / name / "Ann" / "0.png", 0, 0, size)
        add(tmp_path / name / "Ann" / "y" / "0.png", 0, 1, size)
        add(tmp_path / name / "Bo" / "0.png", 1, 0, size)
    small, large = load(tmp_path / "small").astype(float), load(tmp_path / "large").astype(float)
    assert np.abs(small - large).mean() < 4
    assert np.abs(small - load(tmp_path / "large", crop="resize")).mean() > 8


def test_no_such_crop() -> None:
    with pytest.raises(ValidationError):
        LAGSettings(crop="middle")  # type: ignore[arg-type]


def test_no_young_images(people: Callable[..., Path], tmp_path: Path) -> None:
    root = people(tmp_path / "plain", identities=2, images=2)
    for act in ("load", "survey"):
        with pytest.raises(UserError, match="holds no images of young people in this layout: root/<name>"):
            getattr(LAG(LAGSettings(), root, 16), act)()


def test_only_young_images(tmp_path: Path, add: Add) -> None:
    add(tmp_path / "Ann" / "y" / "0.png", 0, 0)
    with pytest.raises(UserError, match="holds no images in this layout"):
        LAG(LAGSettings(), tmp_path, 16).survey()
