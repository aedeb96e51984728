"""The commands ``logitleak data synth``, ``data prepare`` and ``data show``."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import tyro

from logitleak.cli.results import BRIEF, Flag
from logitleak.errors import UserError
from logitleak.progress import progress_of


def data_synth(
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")],
    /,
    identities: int = 120,
    images: int = 12,
    domains: tuple[str, ...] = ("adult", "young", "masked"),
    seed: int = 0,
    variation: float = 1.0,
    workers: int = 0,
    quiet: Flag = False,
) -> None:
    """Render synthetic people into OUT/<domain>/<identity>/; an interrupted call goes on where it stopped.

    Args:
        out: The folder to fill.
        identities: How many people.
        images: How many images of each in each domain.
        domains: Of adult, young and masked.
        seed: The same seed renders the same people.
        variation: How much pose, light and expression vary; 1 is lively, 0.5 like an aligned set.
        workers: Processes; 0 for one on each core.
        quiet: Show nothing.
    """
    from logitleak.people.generate import generate

    with ExitStack() as stack:
        progress = progress_of(quiet, stack)
        done: int | None = None

        def tell(finished: int, total: int) -> None:
            nonlocal done
            if done is None:  # the numbers are checked by now
                progress.stage("rendering", total)
                done = 0
            progress.advance(f"{finished} of {total} images", finished - done)
            done = finished

        try:
            generate(
                out, identities=identities, images=images, domains=domains, seed=seed,
                variation=variation, workers=workers, progress=tell,
            )  # fmt: skip
        except ValueError as error:
            raise UserError(str(error)) from None
    if not quiet:
        print(f"{identities} people with {images} images each in {', '.join(domains)}: {out}")


def data_prepare(
    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")],
    /,
    root: Annotated[Path | None, BRIEF] = None,
    image_size: int = 64,
) -> None:
    """Check a data set, decode it into the cache, and say what was found, is missing or repeats.

    Args:
        source: A registered data source; see `logitleak ls data`.
        root: Its folder.
        image_size: Side of the images in pixels.
    """
    from logitleak.data.prepare import prepare

    for line in prepare(source, root, image_size):
        print(line)


def data_show(
    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")],
    /,
    out: Path = Path("people.png"),
    root: Annotated[Path | None, BRIEF] = None,
    image_size: int = 64,
    people: int = 12,
    images: int = 6,
    degradation: Annotated[str | None, BRIEF] = None,
) -> None:
    """Draw a sheet of a data set: a row for each person, sensitive images, then insensitive ones.

    Args:
        source: A registered data source; see `logitleak ls data`.
        out: The PNG file to write.
        root: The folder of the data set.
        image_size: Side of the images in pixels.
        people: How many people.
        images: How many images of each.
        degradation: Makes the insensitive images: blur or mask.
    """
    from logitleak.data.overview import load, sheet

    dataset = load(source, root, image_size)
    sheet(dataset, out, people, images, degradation)
    print(out)
