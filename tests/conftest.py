"""What many tests need: a cache of their own, made-up people, and a configuration that runs in a second."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

People = Callable[..., Path]
TinyConfig = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Decoded images go to a temporary folder, never to the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOGITLEAK_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_disks() -> Iterator[None]:
    """No test survives a power loss, and waiting for the disk tens of thousands of times takes a minute. Tests of
    `logitleak.files.atomic` put their own in its place."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda number: None)
        yield


@pytest.fixture
def plain_rights() -> Iterator[None]:
    """Permissions hold in this thread, also for the superuser, who otherwise may write anywhere."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None)
    # SECBIT_NO_SETUID_FIXUP: else access() asks what the user may, not what this thread may
    if not sys.platform.startswith("linux") or libc.prctl(28, libc.prctl(27) | 4) != 0:
        pytest.skip("the superuser may write anywhere: run the tests as another user")
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3 of the call, this thread
    held = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; then the same of the higher numbers
    assert libc.capget(header, held) == 0
    fewer = (ctypes.c_uint32 * 6)(*held)
    fewer[0] &= ~0b110  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
    assert libc.capset(header, fewer) == 0
    yield
    assert libc.capset(header, held) == 0
    assert libc.prctl(28, libc.prctl(27) & ~4) == 0


def draw_face(identity: int, number: int, side: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A smooth blob with eyes and a mouth, uint8 [side, side, 3]: an identity's shape, a little moved."""
    own = np.random.default_rng([seed, identity])
    skin, back = own.uniform(0.45, 0.95, 3), own.uniform(0.05, 0.5, 3)
    wide, tall, eyes, low = own.uniform((0.45, 0.65, 0.2, 0.3), (0.75, 0.95, 0.35, 0.5))
    dx, dy, light = np.random.default_rng([seed, identity, number]).normal(0, (0.04, 0.04, 0.08))
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    x, y = x - dx, y - dy
    head = 1 / (1 + np.exp(10 * ((x / wide) ** 2 + (y / tall) ** 2 - 1)))
    dark = sum(np.exp(-(((x - s * eyes) / 0.12) ** 2) - ((y + 0.2) / 0.09) ** 2) for s in (-1, 1))
    dark = dark + 0.7 * np.exp(-((x / 0.25) ** 2) - ((y - low) / 0.08) ** 2)
    face = head * (1 - 0.8 * dark) * (1 + light)
    image = face[..., None] * skin + (1 - head)[..., None] * back
    return (255 * image).clip(0, 255).round().astype(np.uint8)


@pytest.fixture(scope="session")
def draw() -> Callable[..., np.ndarray[Any, np.dtype[np.uint8]]]:
    """`draw_face`, for tests that place the images themselves."""
    return draw_face


@pytest.fixture(scope="session")
def people() -> People:
    """A factory of folders of made-up people: ``root/<identity>/<n>.png``."""

    def make(root: Path, identities: int = 6, images: int = 4, side: int = 32, seed: int = 0) -> Path:
        for identity in range(identities):
            folder = root / f"person-{identity:02d}"
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(images):
                Image.fromarray(draw_face(identity, number, side, seed)).save(folder / f"{number}.png")
        return root

    return make


@pytest.fixture(scope="session")
def six_people(tmp_path_factory: pytest.TempPathFactory, people: People) -> Path:
    """Six people with four images each; do not change them."""
    return people(tmp_path_factory.mktemp("data") / "six-people")


@pytest.fixture(scope="session")
def tiny_config(six_people: Path) -> TinyConfig:
    """A factory of configurations that run in about a second, by default on `six_people`.

    Keyword arguments change the data section.
    """

    def make(root: Path | None = None, **data: Any) -> dict[str, Any]:
        network = {"width": 16, "steps": 2, "batch": 4}
        return {
            "seed": 0,
            "device": "cpu",
            "data": {
                "source": "folder",
                "root": str(root or six_people),
                "image_size": 16,
                "protocol": "half-degraded",
                "degradation": "blur",
                "degradation_settings": {"size": 5},
                "targets": 2,
                **data,
            },
            "federation": {
                "settings": {"transfer_public": 1, "transfer_private": 1},
                "clients": 2,
                "rounds": 2,
                "models": ["cnn"],
                "server_model": "cnn",
                "batch": 16,
            },
            "attacks": {
                "ridge": {"attack": "ridge"},
                "pli": {"attack": "pli", "settings": dict(network)},
                "tbi": {"attack": "tbi", "settings": dict(network)},
            },
        }

    return make
