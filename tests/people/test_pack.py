"""The pack that ships with the package."""

from __future__ import annotations

import time

import numpy as np
import pytest

from logitleak.people import pack as pack_module
from logitleak.people.generate import generate, render_image
from logitleak.people.head import ASSET_PATH
from logitleak.people.identity import sample_identity
from logitleak.people.pack import PACK_DOMAINS, PACK_PATH, load_pack, write_pack


@pytest.fixture(scope="module")
def packs():
    return {domain: load_pack(domain) for domain in PACK_DOMAINS}


def test_files_are_small():
    assert PACK_PATH.stat().st_size <= 8e6
    assert ASSET_PATH.stat().st_size <= 1.5e6


def test_shapes(packs):
    assert PACK_DOMAINS == ("adult", "young", "masked")
    for pack in packs.values():
        assert pack.images.shape == (1440, 64, 64, 3)
        assert pack.images.dtype == np.uint8
        assert pack.labels.dtype == np.int64
        np.testing.assert_array_equal(np.bincount(pack.labels), np.full(120, 12))
        assert len(set(pack.names)) == 120
        assert pack.names == packs["adult"].names


def test_decoding_is_quick():
    started = time.process_time()
    load_pack("young")
    assert time.process_time() - started < 3


def test_people_are_distinct_and_stable(packs):
    """Nearest mean picture finds a held-out picture's person far more often than chance."""
    images = packs["adult"].images.astype(np.float32).reshape(120, 12, -1)
    means, held_out = images[:, :9].mean(axis=1), images[:, 9:].reshape(360, -1)
    distance = -2 * held_out @ means.T + (means**2).sum(axis=1)
    assert (distance.argmin(axis=1) == np.repeat(np.arange(120), 3)).mean() > 0.4


def test_domains_differ(packs):
    adult, young, masked = (packs[domain].images.astype(np.float32) for domain in PACK_DOMAINS)
    assert np.abs(adult - young).mean() > 10
    assert np.abs(adult - masked).mean() > 10


def test_pack_is_what_the_renderer_draws(packs):
    image = render_image(sample_identity(0, 3), "adult", 0, seed=0, variation=0.45, supersample=3)
    stored = packs["adult"].images[36]
    assert np.abs(stored.astype(float) - image).mean() < 8


def test_unknown_domain():
    with pytest.raises(ValueError, match="did you mean 'masked'"):
        load_pack("maskd")


def test_missing_pack(monkeypatch, tmp_path):
    monkeypatch.setattr(pack_module, "PACK_PATH", tmp_path / "none.zip")
    with pytest.raises(FileNotFoundError, match="install logitleak again"):
        load_pack("adult")


def test_write_and_read(monkeypatch, tmp_path):
    folder, out = tmp_path / "people", tmp_path / "small.zip"
    generate(folder, identities=2, images=3, domains=("adult",), workers=1, supersample=1)
    size = write_pack(folder, out, ("adult",), quality=90)
    assert size == out.stat().st_size
    monkeypatch.setattr(pack_module, "PACK_PATH", out)
    pack = load_pack("adult")
    assert pack.images.shape == (6, 64, 64, 3)
    assert pack.names == ("id0000", "id0001")
    first = out.read_bytes()
    write_pack(folder, out, ("adult",), quality=90)
    assert out.read_bytes() == first
