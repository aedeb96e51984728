"""Folders of generated people: determinism, resuming and refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from logitleak.people.generate import SETTINGS_FILE, generate, render_image
from logitleak.people.identity import sample_identity

SMALL = {"identities": 2, "images": 2, "domains": ("adult", "young"), "seed": 4, "supersample": 1}


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.png")}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A folder generated in this process."""
    folder = tmp_path_factory.mktemp("people")
    summary = generate(folder, workers=1, **SMALL)
    assert (summary.written, summary.kept) == (8, 0)
    return folder


def test_layout(plain):
    assert sorted(contents(plain)) == [
        f"{domain}/id{person:04d}/{number:03d}.png"
        for domain in ("adult", "young")
        for person in (0, 1)
        for number in (0, 1)
    ]
    assert json.loads((plain / SETTINGS_FILE).read_text())["seed"] == 4


def test_workers_do_not_change_pictures(plain, tmp_path):
    generate(tmp_path, workers=2, **SMALL)
    assert contents(tmp_path) == contents(plain)


def test_a_single_picture_is_the_same(plain):
    image = render_image(sample_identity(4, 1), "young", 1, seed=4, variation=1.0, supersample=1)
    with Image.open(plain / "young" / "id0001" / "001.png") as stored:
        np.testing.assert_array_equal(np.asarray(stored), image)


def test_more_domains_do_not_change_pictures(plain, tmp_path):
    settings = {**SMALL, "identities": 1, "images": 1, "domains": ("masked", "adult")}
    generate(tmp_path, workers=1, **settings)
    name = "adult/id0000/000.png"
    assert contents(tmp_path)[name] == contents(plain)[name]


def test_resume(tmp_path):
    generate(tmp_path, workers=1, **SMALL)
    before = contents(tmp_path)
    (tmp_path / "adult" / "id0001" / "000.png").unlink()
    cut = tmp_path / "young" / "id0000" / "001.png"
    cut.write_bytes(cut.read_bytes()[:100])
    leftover = tmp_path / "adult" / "id0001" / ".000.png.123.part"
    leftover.write_bytes(b"half a picture")
    kept = tmp_path / "adult" / "id0000" / "000.png"
    stamp = kept.stat().st_mtime_ns
    seen = []
    summary = generate(tmp_path, workers=1, progress=lambda done, total: seen.append((done, total)), **SMALL)
    assert (summary.written, summary.kept) == (2, 6)
    assert seen[0] == (6, 8)
    assert seen[-1] == (8, 8)
    assert contents(tmp_path) == before
    assert kept.stat().st_mtime_ns == stamp
    assert not leftover.exists()


def test_other_settings_are_refused(plain):
    with pytest.raises(ValueError, match=r"seed 4 there, 5 now.*choose another folder") as error:
        generate(plain, **{**SMALL, "seed": 5})
    assert "\n" not in str(error.value)


def test_damaged_record_is_refused(tmp_path):
    (tmp_path / SETTINGS_FILE).write_text("{")
    with pytest.raises(ValueError, match="not readable"):
        generate(tmp_path, **SMALL)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"identities": 0}, "identities is 0"),
        ({"identities": 10_001}, "ask for 1 to 10000"),
        ({"images": 0}, "images is 0"),
        ({"images": 1_001}, "ask for 1 to 1000"),
        ({"domains": ("adlut",)}, "did you mean 'adult'"),
        ({"domains": ("xyz",)}, "choose from adult, young, masked"),
        ({"domains": ()}, "give a list"),
        ({"domains": "adult"}, "give a list"),
        ({"variation": 2.1}, "from 0 to 2"),
        ({"variation": float("nan")}, "from 0 to 2"),
        ({"seed": -1}, "seed is -1"),
        ({"supersample": 0}, "supersample is 0"),
        ({"workers": -1}, "workers is -1"),
    ],
)
def test_bad_arguments(tmp_path, change, message):
    out = tmp_path / "new"
    with pytest.raises(ValueError, match=message) as error:
        generate(out, **{**SMALL, **change})
    assert "\n" not in str(error.value)
    assert not out.exists()
