"""The command ``logitleak init``: a commented configuration for one's own images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from logitleak.errors import UserError


def init(
    images: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="IMAGES")],
    /,
    out: Path = Path("federation.yaml"),
) -> None:
    """Write a commented configuration for a folder of class folders; it asks nothing, and says what it chose.

    Args:
        images: A folder of class folders, a folder that holds private/ and public/, or an .npz or .safetensors file.
        out: The file to write.
    """
    if out.exists():
        raise UserError(f"{out} is there; choose another --out, or delete it.")
    from logitleak.files.storage import write_text
    from logitleak.stages.starter import starter

    write_text(out, starter(images, out))
    print(out)
