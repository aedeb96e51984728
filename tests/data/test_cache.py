"""The cache of decoded images."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from logitleak.data import cache as module
from logitleak.data.cache import cache_folder, load_images
from logitleak.data.decode import Center, Crop, decode
from logitleak.data.folder import list_identities
from logitleak.errors import UserError


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache for one test alone."""
    folder = tmp_path / "own-cache"
    monkeypatch.setenv("LOGITLEAK_CACHE", str(folder))
    return folder


@pytest.fixture
def root(tmp_path: Path, people: Callable[..., Path]) -> Path:
    return people(tmp_path / "people", identities=3, images=2, side=20)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were decoded, not taken from the cache."""
    seen: list[Path] = []

    def counting(path: Path, *arguments: object) -> np.ndarray:  # type: ignore[type-arg]
        seen.append(path)
        return decode(path, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "decode", counting)
    return seen


def test_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGITLEAK_CACHE", "/chosen")
    assert cache_folder() == Path("/chosen")
    monkeypatch.delenv("LOGITLEAK_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_folder() == Path("/xdg/logitleak")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "logitleak"


def test_a_hit_equals_decoding(own_cache: Path, root: Path, decoded: list[Path]) -> None:
    files = list_identities(root)
    first = load_images(root, files, 16)
    assert len(decoded) == 6
    again = load_images(root, files, 16)
    assert len(decoded) == 6
    assert isinstance(again.pixels, np.memmap)
    np.testing.assert_array_equal(again.pixels, np.stack([decode(path, 16) for _, path in files]))
    np.testing.assert_array_equal(again.pixels, first.pixels)
    assert list(again.identities) == list(first.identities) == [name for name, _ in files]
    assert list(again.files) == list(first.files)
    assert again.files[0] == "person-00/0.png"


def test_changes_in_memory_do_not_reach_the_file(own_cache: Path, root: Path) -> None:
    files = list_identities(root)
    before = np.array(load_images(root, files, 16).pixels)
    load_images(root, files, 16).pixels[:] = 0
    np.testing.assert_array_equal(load_images(root, files, 16).pixels, before)


def test_the_key_is_the_content(own_cache: Path, root: Path, decoded: list[Path]) -> None:
    files = list_identities(root)
    before = load_images(root, files, 16)
    files[0][1].write_bytes(files[5][1].read_bytes())
    after = load_images(root, files, 16)
    assert len(decoded) == 12
    np.testing.assert_array_equal(after.pixels[0], before.pixels[5])


def test_side_and_crop_are_in_the_key(own_cache: Path, root: Path) -> None:
    files = list_identities(root)
    assert load_images(root, files, 16).pixels.shape[-1] == 16
    assert load_images(root, files, 20).pixels.shape[-1] == 20
    cropped = load_images(root, files, 16, Crop(0, 16, 4, 20))
    centered = load_images(root, files, 16, Center(0.8))
    assert not np.array_equal(cropped.pixels, load_images(root, files, 16).pixels)
    assert not np.array_equal(centered.pixels, load_images(root, files, 16).pixels)


def test_a_moved_folder_is_a_hit(own_cache: Path, root: Path, decoded: list[Path]) -> None:
    load_images(root, list_identities(root), 16)
    moved = root.rename(root.with_name("moved"))
    load_images(moved, list_identities(moved), 16)
    assert len(decoded) == 6


@pytest.mark.parametrize("suffix", ["npy", "json"])
@pytest.mark.parametrize("how", ["empty", "half", "garbage", "zip", "gone"])
def test_a_damaged_cache_is_decoded_again(
    own_cache: Path, root: Path, decoded: list[Path], suffix: str, how: str
) -> None:
    files = list_identities(root)
    whole = np.array(load_images(root, files, 16).pixels)
    (kept,) = own_cache.glob(f"*.{suffix}")
    content = kept.read_bytes()
    kept.write_bytes(
        {"half": content[: len(content) // 2], "garbage": b"\0" * 99, "zip": b"PK\3\4"}.get(how, b"")
    )
    if how == "gone":
        kept.unlink()
    again = load_images(root, files, 16)
    assert len(decoded) == 12
    np.testing.assert_array_equal(again.pixels, whole)
    np.testing.assert_array_equal(load_images(root, files, 16).pixels, whole)
    assert len(decoded) == 12


@pytest.mark.parametrize(
    "pixels", [np.zeros((6, 3, 8, 8), np.uint8), np.zeros((6, 3, 16, 16)), np.zeros(6, np.uint8)]
)
def test_a_cache_of_other_shape_is_not_believed(
    own_cache: Path, root: Path, decoded: list[Path], pixels: np.ndarray
) -> None:  # type: ignore[type-arg]
    files = list_identities(root)
    load_images(root, files, 16)
    (kept,) = own_cache.glob("*.npy")
    np.save(kept, pixels)
    assert load_images(root, files, 16).pixels.shape == (6, 3, 16, 16)
    assert len(decoded) == 12


def test_a_cache_that_cannot_be_written_is_a_warning(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LOGITLEAK_CACHE", str(tmp_path / "file" / "cache"))
    with caplog.at_level(logging.WARNING, "logitleak"):
        assert len(load_images(root, list_identities(root), 16)) == 6
    assert "not cached" in caplog.text


def test_no_half_files_are_left(own_cache: Path, root: Path) -> None:
    load_images(root, list_identities(root), 16)
    assert sorted(path.suffix for path in own_cache.iterdir()) == [".json", ".npy"]


def test_a_corrupt_image_is_skipped_and_listed(own_cache: Path, root: Path) -> None:
    (root / "person-01" / "0.png").write_bytes(b"broken")
    files = list_identities(root)
    for _ in range(2):  # decoded, then from the cache
        images = load_images(root, files, 16)
        assert len(images) == 5
        assert "person-01/0.png" not in images.files
        ((path, reason),) = [(s.path, s.reason) for s in images.skipped]
        assert path == "person-01/0.png"
        assert "not a readable image" in reason


def test_all_corrupt(own_cache: Path, root: Path) -> None:
    for _, path in list_identities(root):
        path.write_bytes(b"broken")
    with pytest.raises(UserError, match=r"None of the 6 images .* person-00/0\.png: not a readable image"):
        load_images(root, list_identities(root), 16)
    assert not own_cache.exists()


def test_no_files(own_cache: Path, root: Path) -> None:
    with pytest.raises(UserError, match="There is no image"):
        load_images(root, [], 16)
