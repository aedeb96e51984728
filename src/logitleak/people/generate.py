"""Generating folders of pictures of made-up people.

Every picture depends only on the settings, the person's number, the domain and the picture's number,
never on how many processes work or in which order.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from logitleak.people.domains import DOMAINS, check_domain
from logitleak.people.identity import Identity, sample_identity
from logitleak.people.person import Person
from logitleak.people.render import render
from logitleak.people.scene import sample_scene

SETTINGS_FILE = "synthetic.json"
# Beyond these the names of folders and files would no longer sort by number.
MOST_IDENTITIES = 10_000
MOST_IMAGES = 1_000
_FORMAT = 1
_TEMPORARY = ".part"
_PNG_END = b"IEND\xaeB`\x82"
_MOST_SUPERSAMPLE = 8


@dataclass(frozen=True)
class Settings:
    """What decides the pictures in a folder."""

    identities: int
    images: int
    domains: tuple[str, ...]
    seed: int
    variation: float
    supersample: int


@dataclass(frozen=True)
class GenerateSummary:
    """What a call of ``generate`` did: pictures rendered now, pictures found whole, and seconds taken."""

    out: Path
    identities: int
    images: int
    domains: tuple[str, ...]
    written: int
    kept: int
    seconds: float


def generate(
    out: Path,
    *,
    identities: int,
    images: int,
    domains: Sequence[str] = DOMAINS,
    seed: int = 0,
    workers: int = 0,
    variation: float = 1.0,
    supersample: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> GenerateSummary:
    """Render ``images`` 64 x 64 pictures of each of ``identities`` people in each domain.

    Writes ``out/<domain>/<identity>/<nnn>.png`` (``adult/id0000/000.png`` ...). A stopped run continues
    where it was when it is called again with the same settings; ``out`` then keeps its whole files.

    ``variation`` (0 to 2) scales the variety of pose, light, expression and background; ``supersample``
    squared samples make one pixel. ``workers`` processes share the work, 0 means one per core; with more
    than one, a script must call this under ``if __name__ == "__main__":``. ``progress(done, total)`` is
    called in this process with counts of pictures.

    Raises ValueError for bad arguments and for a folder that holds pictures of other settings.
    """
    started = time.monotonic()
    out = Path(out)
    settings = _check(identities, images, domains, seed, variation, supersample, workers)
    _claim(out, settings)
    _remove_leftovers(out)
    todo = {k: missing for k in range(identities) if (missing := _missing(out, settings, k))}
    total = identities * images * len(settings.domains)
    done = kept = total - sum(len(missing) for missing in todo.values())
    if progress is not None:
        progress(done, total)
    for written in _run(out, settings, todo, workers or _cores()):
        done += written
        if progress is not None:
            progress(done, total)
    seconds = time.monotonic() - started
    return GenerateSummary(out, identities, images, settings.domains, total - kept, kept, seconds)


def render_image(
    identity: Identity, domain: str, number: int, *, seed: int, variation: float, supersample: int
) -> npt.NDArray[np.uint8]:
    """One picture, uint8 [64, 64, 3]: the same as in a folder generated with these settings."""
    return render_images(identity, domain, [number], seed=seed, variation=variation, supersample=supersample)[
        0
    ]


def render_images(
    identity: Identity, domain: str, numbers: Sequence[int], *, seed: int, variation: float, supersample: int
) -> npt.NDArray[np.uint8]:
    """Pictures of one person, uint8 [n, 64, 64, 3], for at least one number; the person is built once for all."""
    person = Person(identity, child=check_domain(domain) == "young")
    return np.stack([_picture(person, domain, number, seed, variation, supersample) for number in numbers])


def identity_name(index: int) -> str:
    """Folder name of person number ``index``."""
    return f"id{index:04d}"


def _check(
    identities: int,
    images: int,
    domains: Sequence[str],
    seed: int,
    variation: float,
    supersample: int,
    workers: int,
) -> Settings:
    if not 1 <= identities <= MOST_IDENTITIES:
        raise ValueError(f"identities is {identities}: ask for 1 to {MOST_IDENTITIES}")
    if not 1 <= images <= MOST_IMAGES:
        raise ValueError(f"images is {images}: ask for 1 to {MOST_IMAGES} per person and domain")
    if isinstance(domains, str) or not domains:
        raise ValueError(f"domains is {domains!r}: give a list such as {list(DOMAINS)}")
    wanted = {check_domain(domain) for domain in domains}
    if seed < 0:
        raise ValueError(f"seed is {seed}: give 0 or more")
    if not 0 <= variation <= 2:
        raise ValueError(f"variation is {variation}: give a number from 0 to 2")
    if not 1 <= supersample <= _MOST_SUPERSAMPLE:
        raise ValueError(f"supersample is {supersample}: give 1 to {_MOST_SUPERSAMPLE} (2 or 3 is usual)")
    if workers < 0:
        raise ValueError(f"workers is {workers}: give 0 for all cores, or a number of processes")
    ordered = tuple(domain for domain in DOMAINS if domain in wanted)
    return Settings(identities, images, ordered, int(seed), float(variation), int(supersample))


def _claim(out: Path, settings: Settings) -> None:
    """Record the settings in a new folder, or compare them with those recorded."""
    record = {"format": _FORMAT, **asdict(settings), "domains": list(settings.domains)}
    path = out / SETTINGS_FILE
    if path.exists():
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ValueError(f"{path} is not readable: delete the folder or choose another one")
        different = [
            f"{key} {found.get(key)} there, {value} now"
            for key, value in record.items()
            if found.get(key) != value
        ]
        if different:
            raise ValueError(
                f"{out} holds people of other settings ({'; '.join(different)}): choose another folder"
            )
        return
    out.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{SETTINGS_FILE}.{os.getpid()}{_TEMPORARY}")
    temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)


def _cores() -> int:
    """Cores this process may use (a container often has fewer than the machine)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _remove_leftovers(out: Path) -> None:
    for path in out.rglob(f".*{_TEMPORARY}"):
        path.unlink(missing_ok=True)


def _missing(out: Path, settings: Settings, index: int) -> list[tuple[str, int]]:
    """(domain, number) of the pictures of one person that are not there or not whole."""
    return [
        (domain, number)
        for domain in settings.domains
        for number in range(settings.images)
        if not _is_whole(_path(out, domain, index, number))
    ]


def _path(out: Path, domain: str, index: int, number: int) -> Path:
    return out / domain / identity_name(index) / f"{number:03d}.png"


def _is_whole(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            file.seek(-len(_PNG_END), os.SEEK_END)
            return file.read() == _PNG_END
    except OSError:
        return False


def _run(
    out: Path, settings: Settings, todo: dict[int, list[tuple[str, int]]], workers: int
) -> Iterator[int]:
    """Render what is missing; yields how many pictures each finished person had."""
    workers = min(workers, len(todo))
    if workers <= 1:
        for index, missing in todo.items():
            yield _render_person(out, settings, index, missing)
        return
    # A forked copy of a process with threads (PyTorch has some) may hang, so workers start afresh.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_stop_with_parent) as pool:
        pending = {pool.submit(_render_person, out, settings, k, missing) for k, missing in todo.items()}
        try:
            while pending:
                finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _stop_with_parent() -> None:
    """End this worker when its parent is killed: a pool would otherwise leave it waiting for ever."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _render_person(out: Path, settings: Settings, index: int, missing: list[tuple[str, int]]) -> int:
    identity = sample_identity(settings.seed, index)
    people: dict[bool, Person] = {}
    for domain, number in missing:
        child = domain == "young"
        if child not in people:
            people[child] = Person(identity, child=child)
        pixels = _picture(
            people[child], domain, number, settings.seed, settings.variation, settings.supersample
        )
        _save(pixels, _path(out, domain, index, number))
    return len(missing)


def _picture(
    person: Person, domain: str, number: int, seed: int, variation: float, supersample: int
) -> npt.NDArray[np.uint8]:
    # The seed of a person is padded with zeros, so the code of a domain starts at one.
    code = 1 + DOMAINS.index(domain)
    scene = sample_scene(np.random.default_rng([seed, person.identity.index, code, number]), variation)
    return render(person, scene, masked=domain == "masked", supersample=supersample)


def _save(pixels: npt.NDArray[np.uint8], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}{_TEMPORARY}")
    Image.fromarray(pixels).save(temporary, format="PNG")
    temporary.replace(path)
