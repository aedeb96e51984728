"""Near-duplicates: copies are found, other people and other shots are not."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from logitleak.data import duplicates
from logitleak.data.base import Dataset, ImageSet
from logitleak.data.duplicates import Kind, Repeat, near_duplicates

Pixels = np.ndarray  # uint8 [H, W, 3]
Face = Callable[..., Pixels]


@pytest.fixture
def face(draw: Face) -> Face:
    """Made-up faces with the texture that a photograph has, and smooth blobs lack."""

    def make(identity: int, number: int = 0, side: int = 64) -> Pixels:
        rough = np.random.default_rng([identity, number]).normal(0, 40, (8, 8, 3))
        texture = np.kron(rough, np.ones((side // 8, side // 8, 1)))
        return (draw(identity, number, side) + texture).clip(0, 255).astype(np.uint8)

    return make


def images(drawn: dict[str, Pixels]) -> ImageSet:
    """An image set of files named ``identity/number``."""
    pixels = np.stack([image.transpose(2, 0, 1) for image in drawn.values()])
    return ImageSet(pixels, [file.split("/")[0] for file in drawn], list(drawn))


def recompressed(image: Pixels) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=50)
    return np.asarray(Image.open(buffer))


def resized(image: Pixels) -> Pixels:
    return np.asarray(Image.fromarray(image).resize((40, 40)).resize((64, 64)))


def brightened(image: Pixels) -> Pixels:
    return np.asarray(ImageEnhance.Brightness(Image.fromarray(image)).enhance(1.1))


@pytest.mark.parametrize("change", [np.copy, recompressed, resized, brightened])
def test_copies_are_found(change: Callable[[Pixels], Pixels], face: Face) -> None:
    drawn = {f"p{i}/0": face(i) for i in range(8)} | {"p3/copy": change(face(3))}
    assert near_duplicates(Dataset("x", True, images(drawn))) == [Repeat("p3/copy", "p3/0", Kind.SAME)]


def test_people_and_shots_of_one_person_are_not(face: Face, draw: Face) -> None:
    shots = {f"p{i}/{n}": face(i, n) for i in range(8) for n in range(3)}
    assert near_duplicates(Dataset("x", True, images(shots))) == []
    smooth = {f"p{i}/0": draw(i, 0, 64) for i in range(12)}
    assert near_duplicates(Dataset("x", True, images(smooth))) == []


def test_kinds_the_worst_first(face: Face) -> None:
    adult = {"a/0": face(0), "a/1": face(0), "b/0": face(1), "c/0": face(2)}
    young = {"a/y/0": face(5), "b/y/0": face(1), "d/y/0": face(2), "a/y/1": face(0)}
    assert near_duplicates(Dataset("x", True, images(adult), images(young))) == [
        Repeat("d/y/0", "c/0", Kind.PERSON),
        Repeat("a/y/1", "a/0", Kind.DOMAIN),
        Repeat("b/y/0", "b/0", Kind.DOMAIN),
        Repeat("a/1", "a/0", Kind.SAME),
    ]


def test_a_thousand_copies_are_as_many_entries_not_pairs(face: Face) -> None:
    """A server's picture for a missing image comes thousands of times."""
    drawn = {f"p{i}/0": face(0, side=16) for i in range(1000)}
    found = near_duplicates(Dataset("x", True, images(drawn)))
    assert len(found) == 999
    assert {repeat.kind for repeat in found} == {Kind.PERSON}


def test_blocks_change_nothing(face: Face, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = {f"p{i}/0": face(i % 9) for i in range(20)}
    whole = near_duplicates(Dataset("x", True, images(drawn)))
    assert len(whole) == 11
    monkeypatch.setattr(duplicates, "_BLOCK", 3)
    assert near_duplicates(Dataset("x", True, images(drawn))) == whole


@pytest.mark.parametrize("side", [16, 17, 50, 256])
def test_any_size(side: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 3, side, side), np.uint8)
    found = near_duplicates(Dataset("x", True, ImageSet(pixels[[0, 1, 0]], ["a", "b", "c"], ["0", "1", "2"])))
    assert found == [Repeat("2", "0", Kind.PERSON)]


def test_flat_images_and_single_ones(face: Face) -> None:
    flat = ImageSet(np.zeros((2, 3, 16, 16), np.uint8), ["a", "b"], ["0", "1"])
    assert near_duplicates(Dataset("x", True, flat)) == []
    assert near_duplicates(Dataset("x", True, images({"a/0": face(0)}))) == []
