"""Painted masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from logitleak.data.degrade.mask import Mask, MaskSettings

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
NAMES = [f"person/{i}.png" for i in range(40)]


def gray(count: int = len(NAMES), side: int = 64) -> Pixels:
    return np.full((count, 3, side, side), 120, np.uint8)


@pytest.fixture(scope="module")
def masked() -> Pixels:
    return Mask(MaskSettings())(gray(), NAMES)


def test_the_file_decides(masked: Pixels) -> None:
    again = Mask(MaskSettings())(gray(), NAMES)
    np.testing.assert_array_equal(again, masked)
    alone = Mask(MaskSettings())(gray(1), NAMES[7:8])
    np.testing.assert_array_equal(alone[0], masked[7])


def test_files_differ(masked: Pixels) -> None:
    assert len({image.tobytes() for image in masked}) == len(NAMES)


def test_the_upper_face_is_untouched(masked: Pixels) -> None:
    np.testing.assert_array_equal(masked[:, :, : int(0.44 * 64)], gray()[:, :, : int(0.44 * 64)])


def test_the_lower_face_is_covered(masked: Pixels) -> None:
    middle = masked[:, :, 40:60, 20:44]
    assert (middle != 120).any(axis=1).mean() > 0.95
    corners = masked[:, :, 58:, :4]
    assert (corners == 120).all()


def test_nothing_of_the_lower_face_shines_through() -> None:
    """Under the mask the image does not matter: otherwise the insensitive domain would leak."""
    dark = Mask(MaskSettings())(np.zeros((5, 3, 64, 64), np.uint8), NAMES[:5])
    bright = Mask(MaskSettings())(np.full((5, 3, 64, 64), 255, np.uint8), NAMES[:5])
    np.testing.assert_array_equal(dark[:, :, 42:58, 22:42], bright[:, :, 42:58, 22:42])


def test_several_colors(masked: Pixels) -> None:
    colors = {tuple(image[:, 50, 32] // 32) for image in masked}
    assert len(colors) >= 4


def test_the_input_is_kept() -> None:
    pixels = gray(2)
    pixels.flags.writeable = False
    result = Mask(MaskSettings())(pixels, NAMES[:2])
    assert result.dtype == np.uint8
    assert (pixels == 120).all()


def test_settings_move_the_mask() -> None:
    low = Mask(MaskSettings(top=0.8, jitter=0))(gray(1), NAMES[:1])
    np.testing.assert_array_equal(low[:, :, :48], gray(1)[:, :, :48])
    assert (low[:, :, 56] != 120).any()


@pytest.mark.parametrize("side", [16, 33, 128])
def test_any_side(side: int) -> None:
    result = Mask(MaskSettings())(gray(2, side), NAMES[:2])
    assert result.shape == (2, 3, side, side)
    assert (result[:, :, round(0.8 * side), side // 2] != 120).any(axis=1).all()


def test_odd_names_and_no_images() -> None:
    assert Mask(MaskSettings())(gray(1), ["\udcff/é.png"]).shape == (1, 3, 64, 64)
    assert Mask(MaskSettings())(gray(0), []).shape == (0, 3, 64, 64)
