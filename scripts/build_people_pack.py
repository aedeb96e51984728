"""Build src/logitleak/people/assets/people.zip, the people that ship with the package.

    python scripts/build_people_pack.py FOLDER

renders into FOLDER (a run that was stopped continues there) and packs what is in it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from logitleak.people.generate import generate
from logitleak.people.pack import PACK_DOMAINS, PACK_PATH, write_pack

IDENTITIES = 120
IMAGES = 12
SEED = 0
# Face data sets are aligned and cropped; full variety of pose would not look like one.
VARIATION = 0.45
SUPERSAMPLE = 3
QUALITY = 88


def show_progress(done: int, total: int) -> None:
    """Print a line now and then."""
    print(f"\r{done} of {total} pictures", end="", flush=True)


def main() -> None:
    """Render and pack."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where to render to")
    parser.add_argument("--workers", type=int, default=0, help="processes (0: one per core)")
    parser.add_argument("--out", type=Path, default=PACK_PATH)
    parser.add_argument("--quality", type=int, default=QUALITY)
    arguments = parser.parse_args()
    generate(
        arguments.folder,
        identities=IDENTITIES,
        images=IMAGES,
        domains=PACK_DOMAINS,
        seed=SEED,
        workers=arguments.workers,
        variation=VARIATION,
        supersample=SUPERSAMPLE,
        progress=show_progress,
    )
    size = write_pack(arguments.folder, arguments.out, PACK_DOMAINS, quality=arguments.quality)
    print(f"\n{arguments.out}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
