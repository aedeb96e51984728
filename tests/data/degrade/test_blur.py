"""Box blur against scipy and against a loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.ndimage import uniform_filter

from logitleak.data.degrade.blur import Blur, BlurSettings

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def noise(count: int, height: int, width: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (count, 3, height, width), np.uint8)


def blur(pixels: Pixels, size: int) -> Pixels:
    return Blur(BlurSettings(size=size))(pixels, [f"{i}" for i in range(len(pixels))])


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 9, 10, 16, 17, 40, 61])
def test_is_the_box_filter(size: int) -> None:
    pixels = noise(2, 16, 20)
    expected = uniform_filter(pixels.astype(float), (0, 0, size, size), mode="nearest")
    np.testing.assert_allclose(blur(pixels, size), expected, atol=0.5 + 1e-9)


@pytest.mark.parametrize("size", [2, 3, 7])
def test_is_the_rounded_mean_of_the_window(size: int) -> None:
    pixels = noise(1, 5, 6)
    result = blur(pixels, size)
    rows, columns = (np.arange(size) - size // 2 + at for at in (0, 0))
    for y in range(5):
        for x in range(6):
            window = pixels[0, :, (rows + y).clip(0, 4)][:, :, (columns + x).clip(0, 5)]
            mean = window.astype(float).mean(axis=(0, 2))
            np.testing.assert_allclose(result[0, :, y, x], mean, atol=0.5 + 1e-9)


def test_size_one_changes_nothing() -> None:
    np.testing.assert_array_equal(blur(noise(3, 16, 16), 1), noise(3, 16, 16))


@pytest.mark.parametrize("value", [0, 1, 254, 255])
def test_flat_images_stay(value: int) -> None:
    flat = np.full((1, 3, 16, 16), value, np.uint8)
    np.testing.assert_array_equal(blur(flat, 10), flat)


def test_a_new_array_and_no_change_to_the_old_one() -> None:
    pixels = noise(2, 16, 16)
    pixels.flags.writeable = False
    result = blur(pixels, 5)
    assert result.dtype == np.uint8
    assert not np.shares_memory(result, pixels)


def test_many_images_and_none() -> None:
    many = noise(515, 16, 16)  # more than one piece
    np.testing.assert_array_equal(blur(many, 3)[512:], blur(many[512:], 3))
    assert blur(many[:0], 3).shape == (0, 3, 16, 16)


def test_settings() -> None:
    assert BlurSettings().size == 10
    with pytest.raises(ValidationError):
        BlurSettings(size=0)
