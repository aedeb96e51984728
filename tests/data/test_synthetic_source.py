"""Synthetic people as a data source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from logitleak.data.synthetic import Synthetic, SyntheticSettings
from logitleak.errors import UserError


def test_the_pack() -> None:
    dataset = Synthetic(SyntheticSettings(), None, 64).load()
    assert dataset.synthetic
    assert dataset.title == "synthetic people (adult, young)"
    assert dataset.insensitive is not None
    for images in (dataset.sensitive, dataset.insensitive):
        assert images.pixels.shape == (1440, 3, 64, 64)
        assert images.pixels.dtype == np.uint8
        assert {len(rows) for rows in images.by_identity().values()} == {12}
        assert len(set(images.files)) == 1440
    assert set(dataset.sensitive.by_identity()) == set(dataset.insensitive.by_identity())
    assert dataset.sensitive.files[0].startswith("adult/")


def test_the_pack_has_one_size() -> None:
    with pytest.raises(UserError, match="are 64x64; set data.image_size to 64"):
        Synthetic(SyntheticSettings(), None, 32).load()
    with pytest.raises(UserError, match="set data.image_size to 64"):
        Synthetic(SyntheticSettings(), None, 32).survey()


def test_a_rendered_folder(people: Callable[..., Path], tmp_path: Path) -> None:
    for seed, domain in enumerate(("adult", "masked")):
        people(tmp_path / domain, identities=2, images=2 + seed, seed=seed)
    source = Synthetic(SyntheticSettings(insensitive="masked"), tmp_path, 16)
    dataset = source.load()
    assert dataset.insensitive is not None
    assert (len(dataset.sensitive), len(dataset.insensitive)) == (4, 6)
    assert dataset.title == "synthetic people (adult, masked)"
    with pytest.raises(UserError, match=r"There is no folder .*young"):
        Synthetic(SyntheticSettings(), tmp_path, 16).load()


def test_settings() -> None:
    with pytest.raises(ValidationError):
        SyntheticSettings(insensitive="adult")  # type: ignore[arg-type]
