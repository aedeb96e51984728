"""Image files of every kind, good and bad, to uint8 RGB squares."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from logitleak.data.decode import Center, Crop, decode
from logitleak.data.decode import _opened as opened_image

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def smooth(height: int, width: int) -> Pixels:
    """A ramp uint8 [height, width]."""
    y, x = np.mgrid[:height, :width]
    return (255 * (y / max(height - 1, 1) + x / max(width - 1, 1)) / 2).astype(np.uint8)


def png_header(width: int, height: int) -> bytes:
    """A PNG that says how large it is, and holds nothing."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    checksum = struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + checksum + struct.pack(">I", 99) + b"IDAT"


def test_rgb_of_the_right_size_is_unchanged(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    decoded = decode(tmp_path / "a.png", 16)
    assert decoded.dtype == np.uint8
    assert decoded.flags.c_contiguous
    np.testing.assert_array_equal(decoded, pixels.transpose(2, 0, 1))


def test_gray_is_repeated(tmp_path: Path) -> None:
    Image.fromarray(smooth(20, 20)).save(tmp_path / "a.pgm")
    np.testing.assert_array_equal(decode(tmp_path / "a.pgm", 20), np.stack([smooth(20, 20)] * 3))


def test_one_bit(tmp_path: Path) -> None:
    Image.fromarray(smooth(16, 16) > 127).save(tmp_path / "a.png")
    decoded = decode(tmp_path / "a.png", 16)
    np.testing.assert_array_equal(decoded[0], 255 * (smooth(16, 16) > 127))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_become_eight(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(smooth(16, 16).astype(np.uint16) * 257).save(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(decode(tmp_path / f"a.{suffix}", 16)[1], smooth(16, 16))


def test_dark_sixteen_bits_stay_dark(tmp_path: Path) -> None:
    Image.fromarray(np.full((16, 16), 200, np.uint16)).save(tmp_path / "a.png")
    assert decode(tmp_path / "a.png", 16).max() <= 1


def test_floats_and_nan(tmp_path: Path) -> None:
    values = smooth(16, 16).astype(np.float32)
    values[0, 0] = np.nan
    Image.fromarray(values).save(tmp_path / "a.tif")
    decoded = decode(tmp_path / "a.tif", 16)
    np.testing.assert_array_equal(decoded[0, 1:], smooth(16, 16)[1:])


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_over_white(tmp_path: Path, mode: str) -> None:
    image = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (8, 0, 16, 16))
    image.convert(mode).save(tmp_path / "a.png")
    decoded = decode(tmp_path / "a.png", 16)
    assert (decoded[:, :, :8] == 255).all()
    assert (decoded[:, :, 8:] == 0).all()


def test_palette_with_transparency(tmp_path: Path) -> None:
    image = Image.fromarray((np.indices((16, 16)).sum(0) % 2).astype(np.uint8), "P")
    image.putpalette([0, 0, 0, 200, 30, 60])
    image.save(tmp_path / "a.png", transparency=0)
    decoded = decode(tmp_path / "a.png", 16)
    assert decoded[:, 0, 0].tolist() == [255, 255, 255]
    assert decoded[:, 0, 1].tolist() == [200, 30, 60]


@pytest.mark.parametrize(("height", "width"), [(17, 31), (31, 17), (1, 1), (2, 500), (33, 33), (500, 3)])
def test_odd_sizes(tmp_path: Path, height: int, width: int) -> None:
    Image.fromarray(smooth(height, width)).save(tmp_path / "a.png")
    assert decode(tmp_path / "a.png", 16).shape == (3, 16, 16)


def test_the_centered_square_is_taken(tmp_path: Path) -> None:
    pixels = np.zeros((16, 48), np.uint8)
    pixels[:, 16:32] = smooth(16, 16)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(decode(tmp_path / "a.png", 16)[0], smooth(16, 16))


def test_crop_window(tmp_path: Path) -> None:
    Image.fromarray(smooth(40, 50)).save(tmp_path / "a.png")
    decoded = decode(tmp_path / "a.png", 16, Crop(top=3, bottom=19, left=30, right=46))
    np.testing.assert_array_equal(decoded[0], smooth(40, 50)[3:19, 30:46])


def test_a_crop_outside_the_image_falls_back_to_the_square(tmp_path: Path) -> None:
    Image.fromarray(smooth(16, 16)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(decode(tmp_path / "a.png", 16, Crop(0, 17, 0, 17))[0], smooth(16, 16))


@pytest.mark.parametrize(("height", "width"), [(50, 50), (100, 100), (50, 100), (1, 1), (3, 200)])
def test_a_centered_share(tmp_path: Path, height: int, width: int) -> None:
    """The same share whatever the size, in both directions; never empty."""
    Image.fromarray(smooth(height, width)).save(tmp_path / "a.png")
    tall, wide = max(1, round(0.64 * height)), max(1, round(0.64 * width))
    top, left = (height - tall) // 2, (width - wide) // 2
    window = Crop(top, top + tall, left, left + wide)
    assert (decode(tmp_path / "a.png", 16, Center(0.64)) == decode(tmp_path / "a.png", 16, window)).all()
    frame = Crop(0, height, 0, width)
    assert (decode(tmp_path / "a.png", 16, Center(1.0)) == decode(tmp_path / "a.png", 16, frame)).all()


def test_exif_orientation(tmp_path: Path) -> None:
    image = Image.fromarray(smooth(16, 16))
    exif = image.getexif()
    exif[0x0112] = 3  # turned by 180 degrees
    image.save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(decode(tmp_path / "a.png", 16)[0], smooth(16, 16)[::-1, ::-1])


@pytest.mark.parametrize(
    "content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"P5\n4 4\n255\n\0"]
)
def test_what_is_no_image(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ValueError, match="^not a readable image"):
        decode(tmp_path / "a.png", 16)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "tif"])
def test_truncated(tmp_path: Path, suffix: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / f"a.{suffix}")
    whole = (tmp_path / f"a.{suffix}").read_bytes()
    (tmp_path / f"a.{suffix}").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="^not a readable image"):
        decode(tmp_path / f"a.{suffix}", 16)


@pytest.mark.parametrize("side", [9_000, 60_000])
def test_a_huge_declared_image_is_not_read(tmp_path: Path, side: int) -> None:
    """9000² is above our limit, 60000² above Pillow's own: the same words for both."""
    (tmp_path / "a.png").write_bytes(png_header(side, side))
    with pytest.raises(ValueError, match="larger than 50 million pixels"):
        decode(tmp_path / "a.png", 16)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.png", tmp_path):
        with pytest.raises(ValueError, match="not a readable image"):
            decode(path, 16)


def test_warnings_are_as_they_were_after_images_that_were_open_at_once(tmp_path: Path) -> None:
    """As threads do it: the second opens before the first closes, and closes after it."""
    Image.fromarray(smooth(16, 16)).save(tmp_path / "a.png")
    before = list(warnings.filters)
    first, second = opened_image(tmp_path / "a.png"), opened_image(tmp_path / "a.png")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert warnings.filters != before, "the second is still open"
    second.__exit__(None, None, None)
    assert warnings.filters == before


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(suffix=st.sampled_from(["png", "jpeg", "gif", "webp", "bmp", "tiff", "ppm"]), data=st.data())
def test_damage_is_a_value_error_or_an_image(tmp_path: Path, suffix: str, data: st.DataObject) -> None:
    """Whatever bytes are changed, nothing but ValueError comes out."""
    buffer = io.BytesIO()
    Image.fromarray(smooth(20, 20)).convert("RGB").save(buffer, suffix)
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "a").write_bytes(content[: data.draw(st.integers(1, len(content)))])
    try:
        decoded = decode(tmp_path / "a", 16)
    except ValueError:
        return
    assert decoded.shape == (3, 16, 16)
