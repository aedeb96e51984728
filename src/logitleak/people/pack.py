"""The pack of made-up people that ships with the package."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from logitleak.people.domains import DOMAINS, check_domain

PACK_DOMAINS = DOMAINS
"""Domains of the pack: ``adult``, ``young``, ``masked``."""

PACK_PATH = Path(__file__).parent / "assets" / "people.zip"
_INDEX_FILE = "pack.json"
# A fixed date makes the file the same whenever it is built from the same pictures.
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Pack:
    """One domain of the pack.

    ``images`` uint8 [N, 64, 64, 3] RGB, sorted by person; ``labels`` int64 [N] from 0 to I - 1; ``names``
    [I] of the people. A label means the same person in every domain.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    names: tuple[str, ...]


def pack_index() -> tuple[tuple[str, ...], int, int]:
    """Names of the people, pictures of each, and the side of a picture, without decoding any.

    Raises FileNotFoundError where the pack is not installed.
    """
    if not PACK_PATH.is_file():
        raise FileNotFoundError(f"{PACK_PATH} is missing: install logitleak again")
    with zipfile.ZipFile(PACK_PATH) as archive:
        index = json.loads(archive.read(_INDEX_FILE))
    return tuple(str(name) for name in index["names"]), int(index["images"]), int(index["size"])


def load_pack(domain: str) -> Pack:
    """Decode one domain of the pack: 120 people, 12 pictures each.

    Raises ValueError for an unknown domain and FileNotFoundError where the pack is not installed.
    """
    check_domain(domain)
    names, count, size = pack_index()
    with zipfile.ZipFile(PACK_PATH) as archive:
        strips = [_cut(archive.read(f"{domain}/{name}.webp"), size, count) for name in names]
    labels = np.repeat(np.arange(len(names), dtype=np.int64), count)
    return Pack(np.concatenate(strips), labels, names)


def _cut(data: bytes, size: int, count: int) -> npt.NDArray[np.uint8]:
    """The pictures [count, size, size, 3] of one strip."""
    with Image.open(io.BytesIO(data)) as image:
        strip = np.asarray(image.convert("RGB"))
    return strip.reshape(size, count, size, 3).swapaxes(0, 1)


def write_pack(folder: Path, out: Path, domains: Sequence[str], *, quality: int) -> int:
    """Pack the people that ``generate`` wrote to ``folder`` into the file ``out``.

    Every person becomes one WebP strip per domain with this ``quality`` (0 to 100). Returns the bytes
    written.
    """
    names = sorted(path.name for path in (folder / domains[0]).iterdir())
    strips: dict[str, bytes] = {}
    size = count = 0
    for domain in domains:
        for name in names:
            pictures = [
                np.asarray(Image.open(path)) for path in sorted((folder / domain / name).glob("*.png"))
            ]
            size, count = pictures[0].shape[0], len(pictures)
            buffer = io.BytesIO()
            Image.fromarray(np.hstack(pictures)).save(buffer, format="WEBP", quality=quality, method=6)
            strips[f"{domain}/{name}.webp"] = buffer.getvalue()
    index = {"names": names, "images": count, "size": size, "domains": list(domains)}
    temporary = out.with_name(f".{out.name}.part")
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(_INDEX_FILE, _ZIP_DATE), json.dumps(index))
        for path, data in strips.items():
            archive.writestr(zipfile.ZipInfo(path, _ZIP_DATE), data)
    temporary.replace(out)
    return out.stat().st_size
